package business_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// odd answers what the simple logic never would.
func odd(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	switch said := textOf(c.Command.Pages[0].Command); said {
	case "foreign cover":
		return &angzarr.EventBook{Cover: &angzarr.Cover{Domain: "other", Root: c.Command.Cover.Root}}, nil
	case "wrong number":
		return &angzarr.EventBook{Pages: []*angzarr.EventPage{{Sequence: &angzarr.EventPage_Num{Num: 77}, Event: text(said)}}}, nil
	case "number twice":
		one := &angzarr.EventPage_Num{Num: uint32(len(c.Events.Pages) + 1)}
		return &angzarr.EventBook{Pages: []*angzarr.EventPage{{Sequence: one, Event: text(said)}, {Sequence: one, Event: text(said)}}}, nil
	case "large answer":
		return &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: text(strings.Repeat("x", 5<<20))}}}, nil
	case "large page":
		return &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: text(strings.Repeat("x", 1500<<10))}}}, nil
	case "large snapshot":
		return &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: text(said)}}, Snapshot: &angzarr.Snapshot{State: text(strings.Repeat("x", 2<<20))}}, nil
	case "large snapshot alone":
		return &angzarr.EventBook{Snapshot: &angzarr.Snapshot{State: text(strings.Repeat("x", 2<<20))}}, nil
	case "details":
		st, err := status.New(codes.NotFound, "no such thing").WithDetails(&errdetails.ErrorInfo{Reason: "MINE", Domain: "shop"})
		if err != nil {
			return nil, err
		}
		return nil, st.Err()
	case "much to say":
		return nil, status.Error(codes.Aborted, strings.Repeat("no ", 20_000))
	case "plain error":
		return nil, errors.New("it broke")
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return simple(ctx, c)
}

// row is one case of the status table: what becomes of a command that is called,
// and of the same by the topic.
type row struct {
	name   string
	said   string
	spoil  func(*angzarr.CommandBook) // what is wrong with the command itself
	code   codes.Code
	part   string // of the message
	reason string
	dead   bool // by the topic it is a dead letter
	pages  uint32
}

var statusTable = []row{
	{name: "accepted", said: "say 3 x", pages: 3},
	{name: "accepted without an event", said: "nothing"},
	{name: "1,000 events", said: "say 1000 x", pages: 1000},
	{name: "expected sequence", said: "say 1 x", spoil: func(c *angzarr.CommandBook) { c.Pages[0].Sequence = 3 }, pages: 1},
	{name: "expected sequence differs", said: "say 1 x", spoil: func(c *angzarr.CommandBook) { c.Pages[0].Sequence = 2 },
		code: codes.Aborted, part: "pages[0].sequence", reason: business.ReasonSequenceMismatch},
	{name: "INVALID_ARGUMENT", said: "refuse 3", code: codes.InvalidArgument, part: "refuse 3"},
	{name: "NOT_FOUND", said: "refuse 5", code: codes.NotFound, part: "refuse 5"},
	{name: "ALREADY_EXISTS", said: "refuse 6", code: codes.AlreadyExists, part: "refuse 6"},
	{name: "PERMISSION_DENIED", said: "refuse 7", code: codes.PermissionDenied, part: "refuse 7"},
	{name: "FAILED_PRECONDITION", said: "refuse 9", code: codes.FailedPrecondition, part: "refuse 9"},
	{name: "OUT_OF_RANGE", said: "refuse 11", code: codes.OutOfRange, part: "refuse 11"},
	{name: "ABORTED", said: "refuse 10", code: codes.Aborted, part: "refuse 10"},
	{name: "UNAUTHENTICATED", said: "refuse 16", code: codes.Unauthenticated, part: "refuse 16"},
	{name: "with details", said: "details", code: codes.NotFound, part: "no such thing", reason: "MINE"},
	{name: "much to say", said: "much to say", code: codes.Aborted, part: "no no no"},
	{name: "UNKNOWN", said: "refuse 2", code: codes.Unknown, part: "refuse 2", dead: true},
	{name: "a plain error", said: "plain error", code: codes.Unknown, part: "it broke", dead: true},
	{name: "INTERNAL", said: "refuse 13", code: codes.Internal, part: "refuse 13", dead: true},
	{name: "UNIMPLEMENTED", said: "refuse 12", code: codes.Unimplemented, part: "refuse 12", dead: true},
	{name: "DATA_LOSS", said: "refuse 15", code: codes.DataLoss, part: "refuse 15", dead: true},
	{name: "CANCELLED", said: "refuse 1", code: codes.Canceled, part: "refuse 1", dead: true},
	{name: "DEADLINE_EXCEEDED of its own", said: "refuse 4", code: codes.DeadlineExceeded, part: "refuse 4", dead: true},
	{name: "a panic", said: "panic", code: codes.Internal, part: "panic", dead: true},
	{name: "a hang", said: "hang", code: codes.DeadlineExceeded, dead: true},
	{name: "a foreign cover", said: "foreign cover", code: codes.Internal, part: "cover: ", dead: true},
	{name: "a wrong number", said: "wrong number", code: codes.Internal, part: "pages[0].num", dead: true},
	{name: "a number twice", said: "number twice", code: codes.Internal, part: "pages[1].num", dead: true},
	{name: "an answer of 5 MB", said: "large answer", code: codes.ResourceExhausted, part: "limits.answer", reason: "TOO_LARGE", dead: true},
	{name: "a page over the topic's limit", said: "large page", code: codes.ResourceExhausted, part: "max.message.bytes", dead: true},
	{name: "a snapshot over the topic's limit", said: "large snapshot", pages: 1},
	{name: "nothing but such a snapshot", said: "large snapshot alone"},
}

func TestStatusTable(t *testing.T) {
	w := newWorld(t, 2)
	x := w.worker(serve(t, odd), withBooks(64<<20))
	x.SetLogicTimeout(time.Second)
	x.run().ownsAll()
	o := w.outcomes()
	type sent struct {
		row
		root   log.Root
		record *kgo.Record
		id     string
	}
	var all []sent
	for _, r := range statusTable {
		called, put := w.root(0), w.root(1)
		for _, root := range []log.Root{called, put} {
			w.must(w.order(root, "first of "+root.String(), "say 2 x"))
		}
		byTopic := w.order(put, "topic: "+r.name, r.said)
		byCall := w.order(called, "call: "+r.name, r.said)
		if r.spoil != nil {
			r.spoil(byTopic)
			r.spoil(byCall)
		}
		record := w.recordOf(byTopic)
		w.put(record)
		all = append(all, sent{r, put, record, byTopic.CommandId})
		t.Run("call: "+r.name, func(t *testing.T) { r.checkCall(t, x, byCall) })
	}
	for _, s := range all {
		t.Run("topic: "+s.name, func(t *testing.T) { s.checkOutcome(t, o.of(s.id)) })
	}
	w.quiet()
	x.stop()
	letters := w.deadLetters()
	h := w.audit()
	for _, s := range all {
		letter, dead := letters[source(s.record)]
		if dead != s.dead {
			t.Errorf("%s: it is a dead letter: %v, want %v", s.name, dead, s.dead)
		}
		if dead && (string(letter.Value) != string(s.record.Value) || string(letter.Header(log.HeaderDeadRoot)) != s.root.String() ||
			string(letter.Header(log.HeaderDeadNextPage)) != "3" || string(letter.Header(log.HeaderDeadCause)) != s.code.String()) {
			t.Errorf("%s: the dead letter is %+v", s.name, letter.Headers)
		}
		if got := len(h.roots[s.root]); got != 2+int(s.pages) {
			t.Errorf("%s: the root has %d pages, want %d", s.name, got, 2+s.pages)
		}
	}
}

func (r row) checkCall(t *testing.T, x *worker, c *angzarr.CommandBook) {
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	book, err := x.Handle(ctx, c, "")
	st := status.Convert(err)
	if st.Code() != r.code || !strings.Contains(st.Message(), r.part) {
		t.Fatalf("it is answered with %v: %.200q, want %v: %q", st.Code(), st.Message(), r.code, r.part)
	}
	if got := reasonOf(st); got != r.reason {
		t.Errorf("the reason is %q, want %q", got, r.reason)
	}
	if len(book.GetPages()) != int(r.pages) || r.pages > 0 && book.Pages[0].GetNum() != 3 {
		t.Errorf("it led to %d pages, want %d", len(book.GetPages()), r.pages)
	}
}

func (r row) checkOutcome(t *testing.T, o *angzarr.Outcome) {
	if codes.Code(o.Code) != r.code || !strings.Contains(o.Message, r.part) {
		t.Errorf("the outcome is %v: %.200q, want %v: %q", codes.Code(o.Code), o.Message, r.code, r.part)
	}
	first, last := uint32(0), uint32(0)
	if r.pages > 0 {
		first, last = 3, 2+r.pages
	}
	if o.FirstPage != first || o.LastPage != last {
		t.Errorf("the outcome has pages %d to %d, want %d to %d", o.FirstPage, o.LastPage, first, last)
	}
	if got := reasonOf(status.FromProto(&spb.Status{Code: o.Code, Message: o.Message, Details: o.Details})); got != r.reason {
		t.Errorf("the reason is %q, want %q", got, r.reason)
	}
}

func reasonOf(st *status.Status) string {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return ""
}

func TestErasedAndBrokenRoots(t *testing.T) {
	w := newWorld(t, 1)
	erased, broken := w.root(0), w.root(0)
	event := func(root log.Root, n uint32) *kgo.Record {
		p := log.Page{Root: root, Sequence: n, TypeURL: text("").TypeUrl}
		r := p.Encode(w.domain.Name, 0)
		return r.ToClient()
	}
	topic := log.EventsTopic(w.domain.Name)
	err := w.client.ProduceSync(t.Context(), event(erased, 1), event(erased, 2),
		&kgo.Record{Topic: topic, Key: log.PageKey(erased, 0), Value: encoded(&angzarr.Erased{LastSequence: 2})},
		&kgo.Record{Topic: topic, Key: log.PageKey(erased, 1)}, &kgo.Record{Topic: topic, Key: log.PageKey(erased, 2)},
		event(broken, 1), event(broken, 3)).FirstErr()
	if err != nil {
		t.Fatal(err)
	}
	x := w.owner(serve(t, simple))
	o := w.outcomes()
	for root, want := range map[log.Root]struct {
		code   codes.Code
		reason string
		dead   bool
	}{
		erased: {codes.FailedPrecondition, business.ReasonErased, false},
		broken: {codes.DataLoss, "", true},
	} {
		if st := x.refused(w.order(root, "call "+root.String(), "x")); st.Code() != want.code || reasonOf(st) != want.reason {
			t.Errorf("called for: %v", st)
		}
		_, err := x.Record(t.Context(), &angzarr.EventBook{Cover: w.cover(root), Pages: []*angzarr.EventPage{{Event: text("x")}}, CommandId: "r"}, "")
		if status.Code(err) != want.code {
			t.Errorf("recorded: %v", err)
		}
		r := w.recordOf(w.order(root, "topic "+root.String(), "x"))
		w.put(r)
		if got := o.of("topic " + root.String()); codes.Code(got.Code) != want.code {
			t.Errorf("by the topic: %v", got)
		}
		if _, dead := w.deadLetters()[source(r)]; dead != want.dead {
			t.Errorf("%v: by the topic it is a dead letter: %v", want.code, dead)
		}
	}
	w.must(w.order(w.root(0), "another", "x"))
}
