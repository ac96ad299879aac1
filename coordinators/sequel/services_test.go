package sequel_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// late makes calls whose time is over before they have their answer, until there is
// one of which enough had happened by then: a slow machine gets more time.
func (w *world) late(call func(context.Context) error, enough func(*status.Status) bool) *status.Status {
	w.Helper()
	for patience := 1500 * time.Millisecond; ; patience *= 2 {
		ctx, stop := context.WithTimeout(w.Context(), patience)
		st := status.Convert(call(ctx))
		stop()
		if enough(st) || patience > reactortest.Bound {
			return st
		}
	}
}

func isLate(st *status.Status) bool { return st.Code() == codes.DeadlineExceeded }

func detailsOf(st *status.Status) (info *errdetails.ErrorInfo, answer *angzarr.SynchronousProcessingResponse) {
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *angzarr.SynchronousProcessingResponse:
			answer = d
		}
	}
	return info, answer
}

func commandsTo(t *testing.T, w *world, says string) (found []*angzarr.CommandBook) {
	t.Helper()
	for _, k := range logtest.ReadCommitted(t, w.Cluster, log.CommandsTopic(w.stock.Name)) {
		book := &angzarr.CommandBook{}
		if proto.Unmarshal(k.Value, book) == nil && reactortest.TextOf(book.Pages[0].Command) == says {
			found = append(found, book)
		}
	}
	return found
}

// Coordinators answer for books of committed pages, once the workers have done with
// them, and call nobody.
func TestCoordinators(t *testing.T) {
	w := newWorld(t)
	w.projected.fail["bad"] = true
	w.all()
	d := w.door(w.workers, 3)
	give := func(says string) *angzarr.EventBook {
		t.Helper()
		answer, err := d.Door.Handle(w.within(), w.command(uuid.New(), "", says, false))
		if err != nil {
			t.Fatal(err)
		}
		return answer.Books[0]
	}
	book := give("order lamp")
	if _, err := d.Projectors.Handle(w.within(), book); err != nil {
		t.Error(err)
	}
	if _, err := d.Sagas.Handle(w.within(), book); err != nil {
		t.Error(err)
	}
	for range 2 {
		found, err := d.Projectors.HandleSync(w.within(), book)
		if err != nil || found.Projector != w.summary || found.Sequence != 1 || reactortest.TextOf(found.Projection) != "order lamp" {
			t.Errorf("the projector: %v, %v", found, err)
		}
		answer, err := d.Sagas.HandleSync(w.within(), book)
		want := "stock 1: reserve lamp; summary of stock 1: reserve lamp; command to stock: reserve lamp"
		if got := w.shown(answer); err != nil || got != want {
			t.Errorf("the saga: %s, %v\nwant %s", got, err, want)
		}
	}
	w.projected.once(t)
	w.reacted.once(t)

	other := proto.Clone(book).(*angzarr.EventBook)
	other.Pages[0].Event = reactortest.Text("order chair")
	later := proto.Clone(book).(*angzarr.EventBook)
	later.Pages[0].Sequence = &angzarr.EventPage_Num{Num: 2}
	unnumbered := proto.Clone(book).(*angzarr.EventBook)
	unnumbered.Pages[0].Sequence = nil
	never := proto.Clone(book).(*angzarr.EventBook)
	never.Cover.Root.Value = make([]byte, 16)
	nowhere := proto.Clone(book).(*angzarr.EventBook)
	nowhere.Cover.Domain = "nowhere"
	unread := proto.Clone(book).(*angzarr.EventBook)
	unread.Cover.Domain = w.stock.Name
	erased := give("order that is erased")
	w.erase(uuid.UUID(erased.Cover.Root.Value))
	for name, tc := range map[string]struct {
		book   *angzarr.EventBook
		named  string
		code   codes.Code
		reason string
		says   string
	}{
		"another event":     {other, "", codes.FailedPrecondition, "NOT_IN_LOG", "page 1 of"},
		"a page to come":    {later, "", codes.FailedPrecondition, "NOT_IN_LOG", "page 2 of"},
		"another root":      {never, "", codes.FailedPrecondition, "NOT_IN_LOG", "page 1 of"},
		"without a number":  {unnumbered, "", codes.InvalidArgument, "", "pages[0].num"},
		"no pages":          {&angzarr.EventBook{Cover: book.Cover}, "", codes.InvalidArgument, "", "pages"},
		"no such domain":    {nowhere, "", codes.NotFound, "", "nowhere"},
		"no such projector": {book, "nobody", codes.NotFound, "", w.summary},
		"erased":            {erased, "", codes.FailedPrecondition, "ERASED", "erased"},
		"a dead letter":     {give("bad"), "", codes.FailedPrecondition, "DEAD_LETTER", "I can't stand bad"},
	} {
		ctx := w.within()
		if tc.named != "" {
			ctx = naming(ctx, "angzarr-projector", tc.named)
		}
		_, err := d.Projectors.HandleSync(ctx, tc.book)
		st := status.Convert(err)
		info, _ := detailsOf(st)
		if st.Code() != tc.code || info.GetReason() != tc.reason || !strings.Contains(st.Message(), tc.says) {
			t.Errorf("%s: answered %v, %v", name, st, info)
		}
		if _, plain := d.Projectors.Handle(ctx, tc.book); name != "a dead letter" && status.Code(plain) != tc.code {
			t.Errorf("%s: Handle answered %v", name, plain)
		}
	}
	if _, err := d.Sagas.HandleSync(w.within(), unread); status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "no saga reads") {
		t.Errorf("a domain that no saga reads: %v", err)
	}
}

// Which of several is meant is said in the metadata.
func TestWhichProjector(t *testing.T) {
	w := newWorld(t)
	w.all()
	second := log.Reader{Group: log.ProjectorGroup(w.Domain("second"), w.orders.Name)}
	if err := w.admin.Enrol(t.Context(), w.Cluster, second, w.orders.Name); err != nil {
		t.Fatal(err)
	}
	d := w.door(w.workers, 3)
	answer, err := d.Door.Handle(w.within(), w.command(uuid.New(), "", "order lamp", true))
	if err != nil || w.shown(answer) != lamp {
		t.Fatalf("one that is not synchronous is waited for: %s, %v", w.shown(answer), err)
	}
	book := answer.Books[0]
	_, err = d.Projectors.HandleSync(w.within(), book)
	if st := status.Convert(err); st.Code() != codes.InvalidArgument || !strings.Contains(st.Message(), "angzarr-projector") {
		t.Errorf("two of them, and none is named: %v", err)
	}
	found, err := d.Projectors.HandleSync(naming(w.within(), "angzarr-projector", w.summary), book)
	if err != nil || found.Projector != w.summary {
		t.Errorf("the first: %v, %v", found, err)
	}
	// Nobody runs the other one.
	st := w.late(func(ctx context.Context) error {
		_, err := d.Projectors.HandleSync(naming(ctx, "angzarr-projector", w.Domain("second")), book)
		return err
	}, isLate)
	if !isLate(st) || !strings.Contains(st.Message(), "projector."+w.Domain("second")) {
		t.Errorf("the second: %v", st)
	}
	if _, err := d.Projectors.Handle(naming(w.within(), "angzarr-projector", w.Domain("second")), book); err != nil {
		t.Errorf("the second, not waited for: %v", err)
	}
}
