package chaos

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

var (
	one = log.Root{1}
	two = log.Root{2}
)

// world is a right history, told in order, which a test then makes wrong.
type world struct {
	clock  int64
	tries  []try
	e      evidence
	states map[log.Root]state
}

func newWorld() *world {
	return &world{
		e:      evidence{Commands: make(map[string]int), Books: make(map[log.Root]state), Partitions: 4},
		states: make(map[log.Root]state),
	}
}

func (w *world) tick() int64 { w.clock += 10; return w.clock }

// apply has the log take the order, and gives its pages.
func (w *world) apply(id string, root log.Root, o order) (pages []page) {
	s := w.states[root]
	after := o.decide(s.Value)
	for i, value := range after {
		s = state{s.Last + 1, value}
		p := page{s.Last, event{value, i + 1, len(after), id}.String()}
		pages = append(pages, p)
		w.e.Pages = append(w.e.Pages, stored{p, root, id, partitioning.Of(root, w.e.Partitions), int64(len(w.e.Pages)), text(p.Event)})
	}
	w.states[root], w.e.Books[root] = s, s
	return pages
}

// tried notes a try that took one tick.
func (w *world) tried(t try) *try {
	t.Way = "door 0"
	t.Call, t.Return = w.tick(), w.tick()
	w.tries = append(w.tries, t)
	return &w.tries[len(w.tries)-1]
}

func (w *world) ack(id string, root log.Root, o order) {
	w.tried(try{ID: id, Root: root, Order: o, Result: acked, Pages: w.apply(id, root, o)})
}

// produce gives the command by topic; its outcome is what then is true.
func (w *world) produce(id string, root log.Root, o order) {
	t := w.tried(try{ID: id, Root: root, Order: o, Result: produced})
	t.Way, t.Return = topicWay, forever
	w.e.Commands[id]++
	before := w.states[root]
	if pages := w.apply(id, root, o); len(pages) > 0 {
		w.e.Outcomes = append(w.e.Outcomes, outcome{ID: id, First: pages[0].Number, Last: pages[len(pages)-1].Number})
		return
	}
	w.e.Outcomes = append(w.e.Outcomes, outcome{ID: id, Code: codes.FailedPrecondition, Said: before.refused()})
}

// right is a history of all that may rightly happen.
func right() *world {
	w := newWorld()
	w.ack("a", one, order{add, 3, 5})
	w.ack("b", two, order{Kind: write, A: 7})
	w.tried(try{ID: "b", Root: two, Order: order{Kind: write, A: 7}, Result: acked, Pages: []page{w.e.Pages[3].page}})
	w.tried(try{ID: "c", Root: two, Order: order{swap, 6, 1}, Result: refused, At: w.states[two], Said: w.states[two].refused()})
	w.tried(try{ID: "d", Root: one, Order: order{add, 1, 1}, Expected: 3, Result: mismatched, At: w.states[one]})
	w.produce("e", one, order{Kind: take, A: 4})
	w.produce("f", one, order{Kind: take, A: 400})
	// One in doubt that is there, one that isn't, and one that was repeated.
	for _, id := range []string{"g", "h", "i"} {
		w.tried(try{ID: id, Root: two, Order: order{Kind: write, A: 9}, Result: doubtful}).Return = forever
	}
	w.apply("g", two, order{Kind: write, A: 9})
	w.ack("i", two, order{Kind: write, A: 9})
	w.tried(try{ID: "j", Root: one, Order: order{add, 1, 1}, Result: unapplied})
	w.tried(try{Root: two, Result: seen, At: w.states[two]})
	// Refused first, and applied when it was given again.
	w.tried(try{ID: "k", Root: one, Order: order{Kind: take, A: 15}, Result: refused, At: w.states[one]})
	w.ack("l", one, order{add, 1, 100})
	w.ack("k", one, order{Kind: take, A: 15})
	// Called first and applied last: the two met.
	w.ack("m", two, order{Kind: write, A: 3})
	w.ack("n", two, order{swap, 3, 4})
	w.try("n").Call = w.try("m").Call - 5
	// Left behind without a mark, with less than the log has, and complete.
	w.e.Shelf = []shelf{
		{Audit: snapshots.Audit{Mark: -1, Why: errors.New("none")}}, {Audit: snapshots.Audit{Mark: 1, GivenUp: 1}},
		{Audit: snapshots.Audit{Mark: 1000, Books: 2}, Owned: true},
	}
	return w
}

func TestARightHistoryPasses(t *testing.T) {
	w := right()
	for _, f := range check(w.tries, w.e) {
		t.Error(f)
	}
}

// at is the index of a command's first page in the log.
func (w *world) at(id string) int {
	return slices.IndexFunc(w.e.Pages, func(p stored) bool { return p.ID == id })
}

func (w *world) try(id string) *try {
	return &w.tries[slices.IndexFunc(w.tries, func(t try) bool { return t.ID == id })]
}

func TestWrongHistoriesAreFound(t *testing.T) {
	broken := make(map[string]bool)
	for _, tc := range []struct {
		name, proof, want string
		harm              func(*world)
	}{
		{"a page is lost", "numbering", "page 5 of command l, at offset 7, follows upon page 3", func(w *world) {
			i := w.at("e")
			w.e.Pages = slices.Delete(w.e.Pages, i, i+1)
		}},
		{"a number is given twice", "numbering", "page 3 of command e, at offset 4, follows upon page 3", func(w *world) {
			w.e.Pages[w.at("e")].Number = 3
		}},
		{"two pages are the other way round", "numbering", "page 2 of command a", func(w *world) {
			w.e.Pages[0], w.e.Pages[1] = w.e.Pages[1], w.e.Pages[0]
		}},
		{"a page lies in another partition", "numbering", "lies in partition 9", func(w *world) { w.e.Pages[0].Partition = 9 }},
		{"a command is applied twice", "once", "command l is applied twice: pages 5 and 7", func(w *world) { w.apply("l", one, order{add, 1, 100}) }},
		{"a doubtful one is applied twice", "once", "command g is applied twice", func(w *world) { w.apply("g", two, order{Kind: write, A: 9}) }},
		{"half of a command is there", "once", "command a led to 3 pages, of which the log has 2", func(w *world) {
			w.e.Pages = slices.Delete(w.e.Pages, 2, 3)
		}},
		{"others come between a command's pages", "once", "stands where part 2 should", func(w *world) { w.e.Pages[1].Number = 9 }},
		{"a page without a giver", "once", "command z has 1 pages, and nobody gave it", func(w *world) { w.apply("z", two, order{Kind: write, A: 1}) }},
		{"a command is applied to another root", "once", "command b is for", func(w *world) { w.e.Pages[w.at("b")].Root = one }},
		{"a page has another's bytes", "once", "has the bytes of command a", func(w *world) { w.e.Pages[w.at("b")].Event = w.e.Pages[0].Event }},
		{"an acknowledged command is lost", "acknowledged", "the log has no pages", func(w *world) { w.e.Pages = w.e.Pages[:len(w.e.Pages)-1] }},
		{"a caller was told other numbers", "acknowledged", "command b: the caller was told of", func(w *world) { w.try("b").Pages = []page{{2, w.try("b").Pages[0].Event}} }},
		{"a caller was told other bytes", "acknowledged", "command b: the caller was told of", func(w *world) { w.try("b").Pages = []page{{1, "8 1/1 b"}} }},
		{"a refused command is there", "refused", "command c was refused to all", func(w *world) { w.apply("c", two, order{Kind: write, A: 1}) }},
		{"one that was not applied is there", "refused", "command j was refused to all", func(w *world) { w.apply("j", one, order{add, 1, 1}) }},
		{"refused by its outcome, and there", "refused", "command f was refused to all", func(w *world) { w.apply("f", one, order{Kind: take, A: 1}) }},
		{"refused after it was acknowledged", "refused", "command a was acknowledged, and then refused", func(w *world) {
			w.tried(try{ID: "a", Root: one, Order: order{add, 3, 5}, Result: refused, At: w.states[one]})
		}},
		{"an answer that nobody may get", "answers", "command y", func(w *world) { w.tried(try{ID: "y", Result: wrong, Code: codes.DataLoss}) }},
		{"two outcomes", "one outcome", "command e is in the commands topic 1 times, and has 2 outcomes", func(w *world) {
			w.e.Outcomes = append(w.e.Outcomes, w.e.Outcomes[0])
		}},
		{"no outcome", "one outcome", "command f is in the commands topic 1 times, and has 0 outcomes", func(w *world) { w.e.Outcomes = w.e.Outcomes[:1] }},
		{"an outcome of nothing", "one outcome", "command x has an outcome", func(w *world) {
			w.e.Outcomes = append(w.e.Outcomes, outcome{ID: "x", Code: codes.Aborted})
		}},
		{"a produced command is lost", "one outcome", "command e was produced 1 times, and is in the commands topic 0 times", func(w *world) {
			delete(w.e.Commands, "e")
			w.e.Outcomes = w.e.Outcomes[1:]
		}},
		{"an outcome with other pages", "outcomes", "names pages 4 to 5, the log has 4 to 4", func(w *world) { w.e.Outcomes[0].Last = 5 }},
		{"an outcome with pages that are not there", "outcomes", "names pages 4 to 4, the log has none", func(w *world) {
			i := w.at("e")
			w.e.Pages = slices.Delete(w.e.Pages, i, i+1)
		}},
		{"an outcome of another kind", "outcomes", "command f: its outcome is Internal", func(w *world) { w.e.Outcomes[1].Code = codes.Internal }},
		{"a dead letter", "dead letters", "x became a dead letter", func(w *world) { w.e.DeadLetters = []string{"x"} }},
		{"an owner knows less", "books", "its owner knows page 2", func(w *world) { w.e.Books[one] = state{2, 10} }},
		{"an owner knows another value", "books", "and value 8, the log says", func(w *world) { w.e.Books[two] = state{w.states[two].Last, 8} }},
		{"a book on the shelf is wrong", "shelf", "complete up to offset 3: root x", func(w *world) {
			w.e.Shelf = []shelf{{Audit: snapshots.Audit{Mark: 3, Wrong: []string{"root x"}}}}
		}},
		{"an owner has no shelf", "shelf", "can't be believed: none", func(w *world) {
			w.e.Shelf = []shelf{{Audit: snapshots.Audit{Mark: -1, Why: errors.New("none")}, Owned: true}}
		}},
		{"an owner's shelf is behind", "shelf", "its shelf ends at offset 1, the pages at", func(w *world) {
			w.e.Shelf = []shelf{{Audit: snapshots.Audit{Mark: 1}, Partition: w.e.Pages[2].Partition, Owned: true}}
		}},
		{"a book that was asked for is not mended", "shelf", "lacks 2 books", func(w *world) {
			w.e.Shelf = []shelf{{Audit: snapshots.Audit{Mark: 1000, GivenUp: 2}, Owned: true}}
		}},
		{"a refusal from a stale book", "linearizable", "no order", func(w *world) {
			w.tried(try{ID: "s", Root: two, Order: order{Kind: peek}, Result: refused, At: state{1, 7}})
		}},
		{"a mismatch that is none", "linearizable", "no order", func(w *world) {
			w.tried(try{ID: "s", Root: two, Order: order{Kind: write}, Expected: w.states[two].Last + 1, Result: mismatched, At: w.states[two]})
		}},
		{"a refusal without a reason", "linearizable", "no order", func(w *world) {
			w.tried(try{ID: "s", Root: two, Order: order{Kind: write}, Result: refused, At: w.states[two]})
		}},
		{"a query of the past", "linearizable", "no order", func(w *world) {
			w.tried(try{Root: two, Result: seen, At: state{1, 7}})
		}},
		{"a query of what was not committed yet", "linearizable", "no order", func(w *world) {
			w.tried(try{Root: two, Result: seen, At: state{4, 1}})
			w.ack("s", two, order{Kind: write, A: 1})
		}},
		{"decided on a stale book", "linearizable", "no order", func(w *world) {
			i := w.at("e")
			w.e.Pages[i].Event = event{1, 1, 1, "e"}.String()
		}},
		{"applied although another page was expected", "linearizable", "no order", func(w *world) { w.try("l").Expected = 9 }},
		{"an outcome refuses from a stale book", "linearizable", "no order", func(w *world) { w.e.Outcomes[1].Said = state{9, 9}.refused() }},
		{"the first given is the last applied", "linearizable", "no order", func(w *world) { w.try("a").Call, w.try("a").Return = 900, 901 }},
	} {
		broken[tc.proof] = true
		t.Run(tc.name, func(t *testing.T) {
			w := right()
			tc.harm(w)
			found := check(w.tries, w.e)
			if !slices.ContainsFunc(found, func(f finding) bool { return f.Proof == tc.proof && strings.Contains(f.Text, tc.want) }) {
				t.Errorf("%s was to find %q; found were\n%s", tc.proof, tc.want, findingsText(found))
			}
			for _, f := range found {
				if f.Root != (log.Root{}) && len(timeline(f, w.tries, w.e)) == 0 {
					t.Errorf("%s: no timeline", f)
				}
			}
		})
	}
	for _, p := range proofs {
		if !broken[p.name] {
			t.Errorf("%s: no wrong history breaks it, so it proves nothing", p.name)
		}
	}
}

func findingsText(found []finding) string {
	var all []string
	for _, f := range found {
		all = append(all, f.String())
	}
	return strings.Join(all, "\n")
}
