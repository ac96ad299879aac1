package chaos

import (
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func TestWhatAnAnswerMeans(t *testing.T) {
	mismatch, err := status.New(codes.Aborted, "x").WithDetails(&errdetails.ErrorInfo{Reason: "SEQUENCE_MISMATCH", Metadata: map[string]string{"actual": "5"}})
	if err != nil {
		t.Fatal(err)
	}
	book := func(id string, pages ...*pb.EventPage) *pb.SynchronousProcessingResponse {
		return &pb.SynchronousProcessingResponse{Books: []*pb.EventBook{{Cover: coverOf("d", one), CommandId: id, Pages: pages}}}
	}
	given := &pb.EventPage{Sequence: &pb.EventPage_Num{Num: 3}, Event: text("7 1/1 a")}
	for _, tc := range []struct {
		name     string
		response *pb.SynchronousProcessingResponse
		err      error
		late     bool
		want     result
		at       state
	}{
		{name: "pages", response: book("a", given), want: acked},
		{name: "another's pages", response: book("b", given), want: wrong},
		{name: "no pages", response: book("a"), want: wrong},
		{name: "no book", response: &pb.SynchronousProcessingResponse{}, want: wrong},
		{name: "a refusal", err: status.Error(codes.FailedPrecondition, state{4, 9}.refused()), want: refused, at: state{4, 9}},
		{name: "a refusal by nobody we know", err: status.Error(codes.FailedPrecondition, "ERASED"), want: wrong},
		{name: "a mismatch", err: mismatch.Err(), want: mismatched, at: state{Last: 4}},
		{name: "an abort of another kind", err: status.Error(codes.Aborted, "x"), want: wrong},
		{name: "in doubt", err: status.Error(codes.Unavailable, "x"), want: doubtful},
		{name: "the door's word on the deadline", err: status.Error(codes.DeadlineExceeded, "x"), want: unapplied},
		{name: "the library's word on it", err: status.Error(codes.DeadlineExceeded, "x"), late: true, want: doubtful},
		{name: "no room", err: status.Error(codes.ResourceExhausted, "x"), want: unapplied},
		{name: "lost data", err: status.Error(codes.DataLoss, "x"), want: wrong},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := try{ID: "a", Root: one, Return: 5}
			got.answered(tc.response, tc.err, tc.late)
			if got.Result != tc.want || got.At != tc.at {
				t.Errorf("%v at %v, want %v at %v", got.Result, got.At, tc.want, tc.at)
			}
			if over := got.Return != forever; over == (tc.want == doubtful) {
				t.Errorf("%v, and it was over: %t", got.Result, over)
			}
		})
	}
}

// The business logic decides as the model expects it to, whatever of a book it
// is shown.
func TestLogicDecidesOnTheBook(t *testing.T) {
	decide := func(o order, book *pb.EventBook) (*pb.EventBook, error) {
		return (&logic{}).Handle(t.Context(), &pb.ContextualCommand{Events: book, Command: bookOf("d", &try{ID: "a", Root: one, Order: o})})
	}
	answer, err := decide(order{add, 2, 5}, nil)
	if err != nil || len(answer.Pages) != 2 || textOf(answer.Pages[1].Event) != "10 2/2 a" {
		t.Fatalf("%v, %v", answer, err)
	}
	open := &pb.EventBook{
		Snapshot: &pb.Snapshot{Sequence: 4, State: text("30 1/1 x")},
		Pages:    []*pb.EventPage{{Sequence: &pb.EventPage_Num{Num: 5}, Event: text("40 1/1 y")}},
	}
	_, err = decide(order{Kind: take, A: 41}, open)
	if at, ok := refusedAt(status.Convert(err).Message()); !ok || at != (state{5, 40}) {
		t.Errorf("refused with %v", err)
	}
	open.Pages[0].Sequence = &pb.EventPage_Num{Num: 6}
	if _, err = decide(order{Kind: write}, open); status.Code(err) != codes.Internal {
		t.Errorf("a book with a gap was answered %v", err)
	}
}
