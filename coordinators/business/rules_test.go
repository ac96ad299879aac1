package business

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var (
	noon    = time.Unix(1_700_000_000, 0).UTC()
	theRoot = log.Root{15: 7}
	wide    = limits{openBook: 1 << 20, answer: 4 << 20, page: 1000, waiting: 10}
)

func payload(s string) *anypb.Any {
	return &anypb.Any{TypeUrl: "type.googleapis.com/test." + s, Value: []byte(s)}
}

func theCover() *angzarr.Cover { return coverOf("d", theRoot) }

// bookWith is an open book with so many pages, e1, e2, …
func bookWith(t *testing.T, pages int, more ...log.Record) *snapshots.Book {
	t.Helper()
	var records []log.Record
	for n := range pages {
		p := log.Page{Root: theRoot, Sequence: uint32(n + 1), CreatedAt: noon, TypeURL: payload("e").TypeUrl, Value: fmt.Append(nil, "e", n+1)}
		records = append(records, p.Encode("d", 0))
	}
	records = append(records, more...)
	books := snapshots.NewBooks(1 << 20)
	read := func(_ context.Context, _ map[int32]log.Span, fn func(*log.Record) error) error {
		for i := range records {
			records[i].Offset = int64(i)
			if err := fn(&records[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := books.Restore(t.Context(), read, map[int32]int64{0: int64(len(records))}, func(int) {}); err != nil {
		t.Fatal(err)
	}
	return books.Acquire(0, theRoot)
}

func num(n uint32, event string) *angzarr.EventPage {
	return &angzarr.EventPage{Sequence: &angzarr.EventPage_Num{Num: n}, Event: payload(event)}
}

func unnumbered(event string) *angzarr.EventPage { return &angzarr.EventPage{Event: payload(event)} }

func forced(event string) *angzarr.EventPage {
	return &angzarr.EventPage{Sequence: &angzarr.EventPage_Force{Force: true}, Event: payload(event)}
}

// wantStatus compares with "" for none, else with a code and a part of the text.
func wantStatus(t *testing.T, got *status.Status, code codes.Code, part string) {
	t.Helper()
	if code == codes.OK {
		if got != nil {
			t.Errorf("got %v, want nothing", got)
		}
		return
	}
	if got == nil || got.Code() != code || !strings.Contains(got.Message(), part) {
		t.Errorf("got %v, want %v with %q", got, code, part)
	}
}

func TestCheckCommands(t *testing.T) {
	good := func() *angzarr.CommandBook {
		return &angzarr.CommandBook{Cover: theCover(), Pages: []*angzarr.CommandPage{{Command: payload("C")}}}
	}
	root := func(n int) func(*angzarr.CommandBook) {
		return func(b *angzarr.CommandBook) { b.Cover.Root.Value = make([]byte, n) }
	}
	cases := []struct {
		name  string
		spoil func(*angzarr.CommandBook)
		part  string
	}{
		{"good", func(*angzarr.CommandBook) {}, ""},
		{"an id of 512 bytes", func(b *angzarr.CommandBook) { b.CommandId = strings.Repeat("x", 512) }, ""},
		{"no cover", func(b *angzarr.CommandBook) { b.Cover = nil }, "cover: "},
		{"no domain", func(b *angzarr.CommandBook) { b.Cover.Domain = "" }, "cover.domain: "},
		{"no root", func(b *angzarr.CommandBook) { b.Cover.Root = nil }, "cover.root: "},
		{"a root of 0 bytes", root(0), "cover.root: "},
		{"a root of 15 bytes", root(15), "cover.root: "},
		{"a root of 17 bytes", root(17), "cover.root: "},
		{"no pages", func(b *angzarr.CommandBook) { b.Pages = nil }, "pages: "},
		{"a page without a command", func(b *angzarr.CommandBook) { b.Pages = append(b.Pages, &angzarr.CommandPage{}) }, "pages[1].command: "},
		{"a page that is nil", func(b *angzarr.CommandBook) { b.Pages[0] = nil }, "pages[0].command: "},
		{"a command without a type", func(b *angzarr.CommandBook) { b.Pages[0].Command.TypeUrl = "" }, "pages[0].command: "},
		{"a type URL that ends in a slash", func(b *angzarr.CommandBook) { b.Pages[0].Command.TypeUrl = "x/" }, "pages[0].command: "},
		{"a command id of 513 bytes", func(b *angzarr.CommandBook) { b.CommandId = strings.Repeat("x", 513) }, "command_id: "},
		{"a correlation id of 513 bytes", func(b *angzarr.CommandBook) { b.CorrelationId = strings.Repeat("x", 513) }, "correlation_id: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := good()
			c.spoil(b)
			code := codes.InvalidArgument
			if c.part == "" {
				code = codes.OK
			}
			wantStatus(t, CheckCommands(b), code, c.part)
		})
	}
	wantStatus(t, CheckCommands(nil), codes.InvalidArgument, "cover: ")
}

func TestCheckEvents(t *testing.T) {
	cases := []struct {
		name  string
		pages []*angzarr.EventPage
		part  string
	}{
		{"none", nil, "pages: "},
		{"numbered", []*angzarr.EventPage{num(3, "a"), num(4, "b")}, ""},
		{"without numbers", []*angzarr.EventPage{unnumbered("a"), unnumbered("b")}, ""},
		{"forced", []*angzarr.EventPage{forced("a"), unnumbered("b")}, ""},
		{"number 0", []*angzarr.EventPage{num(0, "a")}, "pages[0].num: "},
		{"a gap", []*angzarr.EventPage{num(1, "a"), num(3, "b")}, "pages[1].num: "},
		{"a number twice", []*angzarr.EventPage{num(1, "a"), num(1, "b")}, "pages[1].num: "},
		{"backwards", []*angzarr.EventPage{num(2, "a"), num(1, "b")}, "pages[1].num: "},
		{"past the last number", []*angzarr.EventPage{num(1<<32-1, "a"), num(1, "b")}, "pages[1].num: "},
		{"one without a number", []*angzarr.EventPage{num(1, "a"), unnumbered("b")}, "pages: "},
		{"one forced", []*angzarr.EventPage{forced("a"), num(1, "b")}, "pages: "},
		{"no event", []*angzarr.EventPage{num(1, "a"), {}}, "pages[1].event: "},
		{"nil", []*angzarr.EventPage{nil}, "pages[0].event: "},
		{"no type", []*angzarr.EventPage{{Event: &anypb.Any{}}}, "pages[0].event: "},
		{"no valid time", []*angzarr.EventPage{{Event: payload("a"), CreatedAt: &timestamppb.Timestamp{Nanos: -1}}}, "pages[0].createdAt: "},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code := codes.InvalidArgument
			if c.part == "" {
				code = codes.OK
			}
			wantStatus(t, CheckEvents(&angzarr.EventBook{Cover: theCover(), Pages: c.pages}), code, c.part)
		})
	}
	snapshot := &angzarr.EventBook{Cover: theCover(), Pages: []*angzarr.EventPage{num(1, "a")}, Snapshot: &angzarr.Snapshot{}}
	wantStatus(t, CheckEvents(snapshot), codes.InvalidArgument, "snapshot: ")
	wantStatus(t, CheckEvents(nil), codes.InvalidArgument, "cover: ")
}

func TestPrecheck(t *testing.T) {
	gap := log.Page{Root: theRoot, Sequence: 9, TypeURL: "x/e"}
	erased := log.Record{Key: log.PageKey(theRoot, 0), Value: mustMarshal(&angzarr.Erased{LastSequence: 2})}
	tight := wide
	tight.openBook = 10
	decide := func(expected uint32) *command {
		return &command{root: theRoot, order: order{expected: expected}}
	}
	record := &command{root: theRoot, record: &angzarr.EventBook{}}
	cases := []struct {
		name    string
		command *command
		book    *snapshots.Book
		limits  limits
		code    codes.Code
		reason  string
		dead    bool
	}{
		{"a new aggregate", decide(0), bookWith(t, 0), wide, codes.OK, "", false},
		{"a new aggregate, expected", decide(1), bookWith(t, 0), wide, codes.OK, "", false},
		{"the next page is expected", decide(3), bookWith(t, 2), wide, codes.OK, "", false},
		{"an earlier page is expected", decide(2), bookWith(t, 2), wide, codes.Aborted, ReasonSequenceMismatch, false},
		{"a later page is expected", decide(4), bookWith(t, 2), wide, codes.Aborted, ReasonSequenceMismatch, false},
		{"an erased aggregate", decide(0), bookWith(t, 2, erased), wide, codes.FailedPrecondition, ReasonErased, false},
		{"an erased aggregate, recorded", record, bookWith(t, 2, erased), wide, codes.FailedPrecondition, ReasonErased, false},
		{"an open book over its limit", decide(0), bookWith(t, 2), tight, codes.FailedPrecondition, ReasonBookTooLarge, true},
		{"an open book over its limit, recorded", record, bookWith(t, 2), tight, codes.OK, "", false},
		{"a history with a gap", decide(0), bookWith(t, 2, gap.Encode("d", 0)), wide, codes.DataLoss, "", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := precheck("d", c.command, c.book, c.limits)
			if got == nil {
				wantStatus(t, nil, c.code, "")
				return
			}
			if got.status.Code() != c.code || got.dead != c.dead {
				t.Errorf("got %v (a dead letter: %v), want %v (%v)", got.status, got.dead, c.code, c.dead)
			}
			if reason := reasonIn(got.status); reason != c.reason {
				t.Errorf("the reason is %q, want %q", reason, c.reason)
			}
		})
	}
}

func reasonIn(st *status.Status) string {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return ""
}

// A mismatch brings the open book along, as long as it is small.
func TestSequenceMismatch(t *testing.T) {
	for pages, withBook := range map[int]bool{0: true, 2: true, 40: true, 80: false, 400: false} {
		st := sequenceMismatch("d", theRoot, 7, bookWith(t, pages))
		details := st.Details()
		info := details[0].(*errdetails.ErrorInfo)
		if info.Metadata["expected"] != "7" || info.Metadata["actual"] != fmt.Sprint(pages+1) || info.Domain != "angzarr" {
			t.Errorf("%d pages: %v", pages, info)
		}
		if (info.Metadata["book"] == "omitted") == withBook || len(details) == 2 != withBook {
			t.Errorf("%d pages: the book is there: %v, want %v (%v)", pages, len(details) == 2, withBook, info.Metadata)
		}
		if withBook {
			book := details[1].(*angzarr.EventBook)
			if len(book.Pages) != pages || !proto.Equal(book.Cover, theCover()) {
				t.Errorf("%d pages: the book has %d", pages, len(book.Pages))
			}
		}
		if size := proto.Size(st.Proto()); size > maxDetails+512 {
			t.Errorf("%d pages: the status has %d bytes", pages, size)
		}
	}
}

func TestNumber(t *testing.T) {
	c := &command{root: theRoot, cause: log.Cause{CommandID: "id"}}
	foreign := &angzarr.Cover{Domain: "d", Root: &angzarr.UUID{Value: make([]byte, 16)}}
	many := make([]*angzarr.EventPage, 20_001)
	for i := range many {
		many[i] = unnumbered("a")
	}
	cases := []struct {
		name   string
		answer *angzarr.EventBook
		pages  int
		code   codes.Code
		part   string
	}{
		{"nothing", &angzarr.EventBook{}, 0, codes.OK, ""},
		{"its own cover", &angzarr.EventBook{Cover: theCover(), Pages: []*angzarr.EventPage{unnumbered("a")}}, 1, codes.OK, ""},
		{"numbered as they will be", &angzarr.EventBook{Pages: []*angzarr.EventPage{num(5, "a"), num(6, "b")}}, 2, codes.OK, ""},
		{"forced, which means nothing here", &angzarr.EventBook{Pages: []*angzarr.EventPage{forced("a")}}, 1, codes.OK, ""},
		{"20,000 pages", &angzarr.EventBook{Pages: many[:20_000]}, 20_000, codes.OK, ""},
		{"20,001 pages", &angzarr.EventBook{Pages: many}, 0, codes.ResourceExhausted, "20001 pages"},
		{"another root's cover", &angzarr.EventBook{Cover: foreign}, 0, codes.Internal, "cover: "},
		{"another domain's cover", &angzarr.EventBook{Cover: coverOf("x", theRoot)}, 0, codes.Internal, "cover: "},
		{"a cover without a root", &angzarr.EventBook{Cover: &angzarr.Cover{Domain: "d"}}, 0, codes.Internal, "cover: "},
		{"a number too low", &angzarr.EventBook{Pages: []*angzarr.EventPage{num(4, "a")}}, 0, codes.Internal, "pages[0].num: "},
		{"a number too high", &angzarr.EventBook{Pages: []*angzarr.EventPage{num(6, "a")}}, 0, codes.Internal, "pages[0].num: "},
		{"a number twice", &angzarr.EventBook{Pages: []*angzarr.EventPage{num(5, "a"), num(5, "a")}}, 0, codes.Internal, "pages[1].num: "},
		{"no event", &angzarr.EventBook{Pages: []*angzarr.EventPage{{}}}, 0, codes.Internal, "pages[0].event: "},
		{"a snapshot without a type", &angzarr.EventBook{Snapshot: &angzarr.Snapshot{State: &anypb.Any{}}}, 0, codes.Internal, "snapshot.state: "},
		{"an event that its topic has no room for", &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: &anypb.Any{TypeUrl: "x/a", Value: make([]byte, 1000)}}}},
			0, codes.ResourceExhausted, "max.message.bytes"},
		{"a type that its topic has no room for", &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: &anypb.Any{TypeUrl: strings.Repeat("x", 1001)}}}},
			0, codes.ResourceExhausted, "max.message.bytes"},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			pages, _, st := number("d", c, x.answer, 4, noon, wide)
			wantStatus(t, st, x.code, x.part)
			if len(pages) != x.pages {
				t.Fatalf("%d pages, want %d", len(pages), x.pages)
			}
			for i, p := range pages {
				if p.Sequence != uint32(5+i) || p.Root != theRoot || !p.CreatedAt.Equal(noon) || p.Cause.CorrelationID != "id" {
					t.Fatalf("page %d is %+v", i, p)
				}
			}
		})
	}
}

// What is committed goes to a caller whose library takes no more than the limit.
func TestAnAnswerFits(t *testing.T) {
	for _, pages := range []int{1, 3, 100, 5000} {
		c := &command{root: theRoot, cause: log.Cause{CommandID: strings.Repeat("i", maxID)}}
		answered := &angzarr.EventBook{Pages: make([]*angzarr.EventPage, pages)}
		for i := range answered.Pages {
			answered.Pages[i] = &angzarr.EventPage{Event: &anypb.Any{TypeUrl: "x/a", Value: make([]byte, i)}, Synchronous: true}
		}
		w := &Worker{domain: log.Domain{Name: "d"}}
		decided := func(answer int) (*decision, *status.Status) {
			l := limits{page: 1 << 20, answer: answer}
			made, _, st := number("d", c, answered, 1<<31, noon.Add(time.Nanosecond), l)
			return &decision{command: c, pages: made}, st
		}
		d, st := decided(64 << 20)
		wantStatus(t, st, codes.OK, "")
		size := proto.Size(&angzarr.SynchronousProcessingResponse{Books: []*angzarr.EventBook{w.bookOf(d)}})
		_, st = decided(size - 1)
		wantStatus(t, st, codes.ResourceExhausted, "limits.answer")
		_, st = decided(size + 64*(pages+1))
		wantStatus(t, st, codes.OK, "")
	}
}

func TestSnapshotsThatAreTaken(t *testing.T) {
	c := &command{root: theRoot}
	state := &angzarr.Snapshot{Sequence: 99, State: payload("state")}
	cases := []struct {
		name   string
		answer *angzarr.EventBook
		last   uint32
		covers uint32 // 0 if none is taken
	}{
		{"none", &angzarr.EventBook{Pages: []*angzarr.EventPage{unnumbered("a")}}, 4, 0},
		{"with pages", &angzarr.EventBook{Snapshot: state, Pages: []*angzarr.EventPage{unnumbered("a"), unnumbered("b")}}, 4, 6},
		{"alone", &angzarr.EventBook{Snapshot: state}, 4, 4},
		{"of no pages", &angzarr.EventBook{Snapshot: state}, 0, 0},
		{"larger than its topic allows", &angzarr.EventBook{
			Snapshot: &angzarr.Snapshot{State: &anypb.Any{TypeUrl: "x/S", Value: make([]byte, 1000)}}, Pages: []*angzarr.EventPage{unnumbered("a")}}, 4, 0},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			pages, s, st := number("d", c, x.answer, x.last, noon, wide)
			if st != nil || len(pages) != len(x.answer.Pages) {
				t.Fatalf("%d pages, %v", len(pages), st)
			}
			if s.GetSequence() != x.covers || s != nil && !proto.Equal(s.State, state.State) {
				t.Errorf("it covers %d, want %d", s.GetSequence(), x.covers)
			}
		})
	}
}

func TestRecorded(t *testing.T) {
	cases := []struct {
		name   string
		pages  []*angzarr.EventPage
		fresh  []uint32
		repeat int
		code   codes.Code
		part   string
	}{
		{"the next ones", []*angzarr.EventPage{num(4, "a"), num(5, "b")}, []uint32{4, 5}, 0, codes.OK, ""},
		{"without numbers", []*angzarr.EventPage{unnumbered("a"), unnumbered("b")}, []uint32{4, 5}, 0, codes.OK, ""},
		{"forced", []*angzarr.EventPage{forced("a")}, []uint32{4}, 0, codes.OK, ""},
		{"all there already", []*angzarr.EventPage{num(2, "e"), num(3, "e")}, nil, 2, codes.OK, ""},
		{"some there already", []*angzarr.EventPage{num(3, "e"), num(4, "a")}, []uint32{4}, 0, codes.OK, ""},
		{"another event there", []*angzarr.EventPage{num(2, "e"), num(3, "x")}, nil, 0, codes.Aborted, "pages[1]"},
		{"a gap", []*angzarr.EventPage{num(5, "a")}, nil, 0, codes.Aborted, "page 5"},
		{"an event that is too large", []*angzarr.EventPage{{Event: &anypb.Any{TypeUrl: "x/a", Value: make([]byte, 1001)}}}, nil, 0, codes.ResourceExhausted, "pages[0]"},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			book := bookWith(t, 3)
			for _, p := range x.pages { // what is the same has the same bytes
				if n := p.GetNum(); n > 0 && n <= 3 && p.Event.TypeUrl == payload("e").TypeUrl {
					p.Event.Value = fmt.Append(nil, "e", n)
				}
			}
			c := &command{root: theRoot, record: &angzarr.EventBook{Pages: x.pages}}
			var there []*angzarr.EventPage
			if from, to, any := overlap(c.record, book.Last()); any {
				there, _ = book.Pages(from, to)
			}
			pages, repeat, st := recorded("d", c, book, there, noon, wide)
			wantStatus(t, st, x.code, x.part)
			if len(pages) != len(x.fresh) || len(repeat.GetPages()) != x.repeat {
				t.Fatalf("%d new pages and %d again, want %d and %d", len(pages), len(repeat.GetPages()), len(x.fresh), x.repeat)
			}
			for i, p := range pages {
				if p.Sequence != x.fresh[i] {
					t.Errorf("page %d has number %d, want %d", i, p.Sequence, x.fresh[i])
				}
			}
		})
	}
}
