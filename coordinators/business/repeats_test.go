package business_test

import (
	"fmt"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// again repeats a command by call, by the topic and many times at once: it must
// get the pages of the first time, whatever it says now.
func (w *world) again(o outcomes, root log.Root, id string, first *angzarr.EventBook) {
	w.t.Helper()
	same := func(book *angzarr.EventBook) bool {
		if len(book.GetPages()) != len(first.Pages) {
			return false
		}
		for i, p := range book.Pages {
			if !proto.Equal(p, first.Pages[i]) {
				return false
			}
		}
		return true
	}
	const times = 5
	answers := make(chan result, times)
	for i := range times {
		go func() {
			book, err := w.handle(w.t.Context(), w.order(root, id, fmt.Sprint("another ", i)))
			answers <- result{book, err}
		}()
	}
	outdated := w.order(root, id, "x")
	outdated.Pages[0].Sequence = 77 // it was applied: what it expected is over
	if book := w.must(outdated); !same(book) {
		w.t.Errorf("command %s again, with another sequence: %v, want %v", id, book, first)
	}
	for range times {
		if r := await(w.t, "an answer", answers); r.err != nil || !same(r.book) {
			w.t.Errorf("command %s again: %v, %v, want %v", id, r.book, r.err, first)
		}
	}
	for _, late := range []bool{false, true} {
		repeat := w.order(root, id, "another")
		repeat.CorrelationId = uuid.NewString()
		record := w.recordOf(repeat)
		if late {
			record.Headers = append(record.Headers, log.Header{Key: log.HeaderDeadline, Value: []byte("2026-01-01T00:00:00Z")})
		}
		w.put(record)
		of := o.await("the outcome of command "+id+" by the topic", 1, func(r *kgo.Record) bool {
			return outcomeOf(o.t, r).CorrelationId == repeat.CorrelationId
		})
		got := outcomeOf(w.t, of[0])
		if got.Code != 0 || got.FirstPage != first.Pages[0].GetNum() || got.LastPage != first.Pages[len(first.Pages)-1].GetNum() {
			w.t.Errorf("command %s again by the topic, late %t: %v, want %v", id, late, got, first)
		}
	}
}

func TestRepeats(t *testing.T) {
	w := newWorld(t, 2)
	logic := serve(t, simple)
	x := w.owner(logic)
	o := w.outcomes()
	root := w.root(1)
	w.must(w.order(root, "before", "say 3 x"))
	first := w.must(w.order(root, "it", "say 2 x"))
	w.again(o, root, "it", first)
	w.must(w.order(root, "after", "say 3 x"))
	w.again(o, root, "it", first)

	w.must(w.order(root, "snapshot", "snapshot")) // which shortens the open book
	w.again(o, root, "it", first)

	if book := w.must(w.order(w.root(1), "it", "x")); book.Pages[0].GetNum() != 1 {
		t.Errorf("another root's command of the same id led to %v", book)
	}

	// A refused command is decided anew.
	if st := x.refused(w.order(root, "refused", "refuse 9 no")); st.Code() != codes.FailedPrecondition {
		t.Error(st)
	}
	if book := w.must(w.order(root, "refused", "x")); len(book.Pages) != 1 {
		t.Errorf("a refused command again: %v", book)
	}

	tight := w.start(logic, withBooks(1))
	x.stop()
	tight.ownsAll()
	w.again(o, root, "it", first) // after a takeover, and from the log
	w.must(w.order(root, "more", "x"))
	w.again(o, root, "it", first)
	w.quiet()
	w.audit()
}

// Of commands further back a book has no more than a hint, which two ids may
// share: the log tells.
func TestRepeatsFromLongAgo(t *testing.T) {
	const id, sameHint = "69235", "95303" // see TestTheSameHint in snapshots
	w := newWorld(t, 1)
	logic := serve(t, simple)
	x := w.owner(logic)
	o := w.outcomes()
	root := w.root(0)
	w.must(w.order(root, "before", "say 3 x"))
	first := w.must(w.order(root, id, "say 2 x"))
	for i := range 150 {
		w.must(w.order(root, fmt.Sprint("after ", i), "x"))
	}
	w.again(o, root, id, first)
	book := w.must(w.order(root, sameHint, "x"))
	if n := book.Pages[0].GetNum(); n != 3+2+150+1 {
		t.Errorf("a command of which the id looks like another one's led to page %d", n)
	}
	w.again(o, root, id, first)
	w.again(o, root, sameHint, book)

	late := w.recordOf(w.order(root, "late", "x"))
	late.Headers = append(late.Headers, log.Header{Key: log.HeaderDeadline, Value: []byte("2026-01-01T00:00:00Z")})
	w.put(late)
	if got := o.of("late"); codes.Code(got.Code) != codes.DeadlineExceeded {
		t.Errorf("a late command: %v", got)
	}

	next := w.start(logic)
	x.stop()
	next.ownsAll()
	w.again(o, root, id, first)
	w.again(o, root, sameHint, book)
	w.quiet()
	w.audit()
}

// The same id many times at once, for a root that was not known before.
func TestAFirstTimeManyTimes(t *testing.T) {
	w := newWorld(t, 1)
	w.owner(serve(t, simple))
	root := w.root(0)
	const times = 30
	answers := make(chan result, times)
	for i := range times {
		if i%3 == 0 {
			w.put(w.recordOf(w.order(root, "it", fmt.Sprint("topic ", i))))
			continue
		}
		go func() {
			book, err := w.handle(t.Context(), w.order(root, "it", fmt.Sprint("call ", i)))
			answers <- result{book, err}
		}()
	}
	var first *angzarr.EventBook
	for range times - times/3 {
		r := await(t, "an answer", answers)
		if r.err != nil {
			t.Fatal(r.err)
		}
		if first == nil {
			first = r.book
		}
		if !proto.Equal(r.book, first) {
			t.Errorf("one got %v, another %v", r.book, first)
		}
	}
	w.quiet()
	if h := w.audit(); len(h.roots[root]) != 1 {
		t.Errorf("the root has %d pages", len(h.roots[root]))
	}
}

// Somebody deleted pages. A repeat of their command can't be answered, and must
// not be taken for a new one.
func TestARepeatOfWhatIsGone(t *testing.T) {
	w := newWorld(t, 1)
	w.RequireFake(t)
	x := w.owner(serve(t, simple))
	root := w.root(0)
	w.must(w.order(root, "it", "say 3 x"))
	w.must(w.order(root, "snapshot", "snapshot"))
	if err := w.Fake.DeleteRecords(log.EventsTopic(w.domain.Name), 0, 2); err != nil {
		t.Fatal(err)
	}
	if st := x.refused(w.order(root, "it", "x")); st.Code() != codes.DataLoss {
		t.Errorf("by call: %v", st)
	}
	first := &angzarr.EventPage{Event: text("say 3 x"), Sequence: &angzarr.EventPage_Num{Num: 1}}
	book := &angzarr.EventBook{Cover: w.cover(root), Pages: []*angzarr.EventPage{first}, CommandId: "r"}
	if _, err := x.Record(t.Context(), book, ""); status.Code(err) != codes.DataLoss {
		t.Errorf("recorded: %v", err)
	}
	o := w.outcomes()
	r := w.recordOf(w.order(root, "it", "x"))
	w.put(r)
	if got := o.of("it"); codes.Code(got.Code) != codes.DataLoss {
		t.Errorf("by the topic: %v", got)
	}
	if _, dead := w.deadLetters()[source(r)]; !dead {
		t.Error("by the topic it is no dead letter")
	}
	w.must(w.order(root, "another", "x"))
}

func TestRecordAgain(t *testing.T) {
	for name, limit := range map[string]int{"from memory": 1 << 20, "from the log": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.owner(serve(t, simple), withBooks(limit))
			root := w.root(0)
			page := func(n uint32, said string) *angzarr.EventPage {
				p := &angzarr.EventPage{Event: text(said)}
				if n > 0 {
					p.Sequence = &angzarr.EventPage_Num{Num: n}
				}
				return p
			}
			force := &angzarr.EventPage{Event: text("force"), Sequence: &angzarr.EventPage_Force{Force: true}}
			book := func(id string, pages ...*angzarr.EventPage) *angzarr.EventBook {
				return &angzarr.EventBook{Cover: w.cover(root), Pages: pages, CommandId: id, CorrelationId: id}
			}
			steps := []struct {
				name        string
				book        *angzarr.EventBook
				code        codes.Code
				first, last uint32
			}{
				{"numbered", book("a", page(1, "a"), page(2, "b")), codes.OK, 1, 2},
				{"the same pages by another id", book("b", page(1, "a"), page(2, "b")), codes.OK, 1, 2},
				{"one of them", book("c", page(2, "b")), codes.OK, 2, 2},
				{"another event in their place", book("d", page(2, "x")), codes.Aborted, 0, 0},
				{"a gap", book("e", page(4, "x")), codes.Aborted, 0, 0},
				{"there already, and the next", book("f", page(2, "b"), page(3, "c")), codes.OK, 3, 3},
				{"without numbers", book("g", page(0, "d"), page(0, "e")), codes.OK, 4, 5},
				{"the same without numbers by another id", book("h", page(0, "d"), page(0, "e")), codes.OK, 6, 7},
				{"the same id", book("g", page(0, "d"), page(0, "e")), codes.OK, 4, 5},
				{"the same id with other pages", book("a", page(0, "x")), codes.OK, 1, 2},
				{"forced", book("i", force), codes.OK, 8, 8},
				{"forced by the same id", book("i", force), codes.OK, 8, 8},
			}
			for _, s := range steps {
				got, err := w.record(t.Context(), s.book)
				if status.Code(err) != s.code {
					t.Fatalf("%s: %v", s.name, err)
				}
				if err != nil {
					continue
				}
				if got.Pages[0].GetNum() != s.first || got.Pages[len(got.Pages)-1].GetNum() != s.last {
					t.Fatalf("%s: %v", s.name, got)
				}
			}
			// And by the topic.
			o := w.outcomes()
			put := func(id string, b *angzarr.EventBook) *angzarr.Outcome {
				r := &kgo.Record{Key: root[:], Value: encoded(b), Headers: []kgo.RecordHeader{header(log.HeaderKind, log.KindEventBook)}}
				w.put(r)
				return o.of(id)
			}
			if got := put("t", book("t", page(0, "z"))); got.FirstPage != 9 {
				t.Errorf("recorded by the topic: %v", got)
			}
			if got := put("u", book("u", page(1, "a"))); got.FirstPage != 1 || got.LastPage != 1 {
				t.Errorf("there already, by the topic: %v", got)
			}
			if got := put("v", book("v", page(1, "x"))); codes.Code(got.Code) != codes.Aborted {
				t.Errorf("another event, by the topic: %v", got)
			}
			w.quiet()
			if h := w.audit(); len(h.roots[root]) != 9 {
				t.Errorf("the root has %d pages", len(h.roots[root]))
			}
		})
	}
}
