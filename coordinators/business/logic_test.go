package business

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

func TestFateOf(t *testing.T) {
	large := (&logic{limit: 4 << 20}).explain(status.New(codes.ResourceExhausted, "grpc: received message larger than max (5000000 vs. 4194304)"), 100)
	want := map[codes.Code]fate{
		codes.Canceled: broken, codes.Unknown: refuse, codes.InvalidArgument: refuse, codes.DeadlineExceeded: broken,
		codes.NotFound: refuse, codes.AlreadyExists: refuse, codes.PermissionDenied: refuse, codes.ResourceExhausted: retry,
		codes.FailedPrecondition: refuse, codes.Aborted: refuse, codes.OutOfRange: refuse, codes.Unimplemented: broken,
		codes.Internal: broken, codes.Unavailable: retry, codes.DataLoss: broken, codes.Unauthenticated: refuse, 17: broken,
	}
	for code, fate := range want {
		if got := fateOf(status.New(code, "")); got != fate {
			t.Errorf("%v: %v, want %v", code, got, fate)
		}
	}
	if got := fateOf(large); got != broken {
		t.Errorf("an answer that is too large: %v, want %v", got, broken)
	}
}

func TestExplain(t *testing.T) {
	l := &logic{limit: 4194304}
	cases := []struct{ name, said, part string }{
		{"our limit", "grpc: received message larger than max (5000000 vs. 4194304)", "limits.answer"},
		{"our limit, compressed", "grpc: received message after decompression larger than max 4194304", "limits.answer"},
		{"the limit of logic in Go", "grpc: received message larger than max (6000000 vs. 4194304)", "business logic's server"},
		{"the limit of logic in Python", "SERVER: Received message larger than max (6000000 vs. 4194304)", "business logic's server"},
		{"overload", "too much to do", "too much to do"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := l.explain(status.New(codes.ResourceExhausted, c.said), 6_000_000); !strings.Contains(got.Message(), c.part) {
				t.Errorf("it says %q, want %q", got.Message(), c.part)
			}
		})
	}
}

func TestContextual(t *testing.T) {
	book := bookWith(t, 3)
	commands := &angzarr.CommandBook{Cover: theCover(), Pages: []*angzarr.CommandPage{{Command: payload("C")}}}
	record := log.Record{Topic: "t", Partition: 1, Offset: 2, Value: mustMarshal(commands)}
	c, st := read("d", &record)
	if st != nil {
		t.Fatal(st)
	}
	var got angzarr.ContextualCommand
	request, err := codec{}.Marshal(contextual(coverBefore("d"), book, c))
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(request.Materialize(), &got); err != nil {
		t.Fatal(err)
	}
	want := &angzarr.ContextualCommand{Events: &angzarr.EventBook{}, Command: commands}
	if err := proto.Unmarshal(book.AppendTo(nil), want.Events); err != nil {
		t.Fatal(err)
	}
	want.Events.Cover = theCover()
	want.Command.CommandId, want.Command.CorrelationId = "t/1/2", "t/1/2"
	if !proto.Equal(&got, want) {
		t.Errorf("business logic gets %v, want %v", &got, want)
	}
}

func TestWhoHasTheLastWord(t *testing.T) {
	a := &command{}
	if !a.give() || a.settle() || !a.give() {
		t.Error("a call that was given up was settled")
	}
	b := &command{}
	if !b.settle() || b.give() || !b.settle() {
		t.Error("a call that was settled was given up")
	}
}

func TestLate(t *testing.T) {
	c := &command{ctx: context.Background()}
	if got := c.late(context.DeadlineExceeded).Code(); got != codes.DeadlineExceeded {
		t.Errorf("got %v", got)
	}
	c.unavailable.Store(status.New(codes.Unavailable, "away"))
	if got := c.late(fmt.Errorf("x: %w", context.DeadlineExceeded)).Code(); got != codes.Unavailable {
		t.Errorf("got %v, want why it took so long", got)
	}
	if got := c.late(context.Canceled).Code(); got != codes.Canceled {
		t.Errorf("got %v", got)
	}
	if c.ended(status.New(codes.Internal, "")) != nil {
		t.Error("a command without a deadline has ended")
	}
	c.ctx = deadline{context.Background(), time.Now().Add(notice / 2)}
	if !errors.Is(c.ended(status.New(codes.DeadlineExceeded, "")), context.DeadlineExceeded) {
		t.Error("a server that is a little early was taken for one that breaks")
	}
}
