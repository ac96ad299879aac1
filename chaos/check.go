package chaos

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/verify"
	"google.golang.org/grpc/codes"
)

// finding is one thing that is wrong.
type finding struct {
	Proof string // which one fails
	Root  log.Root
	ID    string
	Text  string
	// Waits says that it is about something that is not there, and may yet come.
	Waits bool
}

func (f finding) String() string { return fmt.Sprintf("%s: %s", f.Proof, f.Text) }

// proof is one thing that is checked.
type proof struct {
	name  string
	prove func(*judge)
}

// proofs are all that is checked, in the order in which they are told.
var proofs = []proof{
	{"numbering", (*judge).numbering},
	{"once", (*judge).once},
	{"acknowledged", (*judge).acknowledged},
	{"refused", (*judge).refused},
	{"answers", (*judge).answers},
	{"outcomes", (*judge).outcomes},
	{"one outcome", (*judge).oneEach},
	{"dead letters", (*judge).deadLetters},
	{"books", (*judge).books},
	{"shelf", (*judge).shelf},
	{"linearizable", (*judge).linearizable},
}

// judge holds what callers were told against what the log says.
type judge struct {
	tries    []try
	evidence evidence
	commands map[string][]*try
	pages    map[string][]stored // by the command's id, in log order
	roots    map[log.Root][]stored

	proof string
	found []finding
}

// check says all that is wrong.
func check(tries []try, e evidence) []finding {
	j := newJudge(tries, e)
	j.prove(proofs)
	return j.found
}

func newJudge(tries []try, e evidence) *judge {
	j := &judge{
		tries: tries, evidence: e, commands: byID(tries),
		pages: make(map[string][]stored), roots: make(map[log.Root][]stored),
	}
	for _, p := range e.Pages {
		j.pages[p.ID] = append(j.pages[p.ID], p)
		j.roots[p.Root] = append(j.roots[p.Root], p)
	}
	return j
}

func (j *judge) prove(proofs []proof) {
	for _, p := range proofs {
		j.proof = p.name
		before := len(j.found)
		p.prove(j)
		slices.SortStableFunc(j.found[before:], func(a, b finding) int { return cmp.Compare(a.Text, b.Text) })
	}
}

func (j *judge) wrong(root log.Root, id, format string, args ...any) {
	j.found = append(j.found, finding{Proof: j.proof, Root: root, ID: id, Text: fmt.Sprintf(format, args...)})
}

// missing says what is not there.
func (j *judge) missing(root log.Root, id, format string, args ...any) {
	j.wrong(root, id, format, args...)
	j.found[len(j.found)-1].Waits = true
}

// numbering: a root's pages are 1, 2, 3, … in the order of the log, in the
// partition where they belong.
func (j *judge) numbering() {
	for root, pages := range j.roots {
		last := uint32(0)
		for _, p := range pages {
			for _, why := range verify.Follow(verify.Page{Root: root, Number: p.Number, CommandID: p.ID, Partition: p.Partition, Offset: p.Offset}, last, j.evidence.Partitions) {
				j.wrong(root, p.ID, "%s", why)
			}
			last = p.Number
		}
	}
}

// once: a command that is in the log is there whole, once, for its root, and
// somebody gave it. That bounds the doubtful ones too.
func (j *judge) once() {
	for id, pages := range j.pages {
		first := pages[0]
		tries := j.commands[id]
		if len(tries) == 0 {
			j.wrong(first.Root, id, "command %s has %d pages, and nobody gave it", id, len(pages))
			continue
		}
		var all int
		for i, p := range pages {
			e, err := parseEvent(p.Event)
			switch {
			case err != nil:
				j.wrong(p.Root, id, "command %s: page %d of %s: %v", id, p.Number, p.Root, err)
				continue
			case e.ID != id:
				j.wrong(p.Root, id, "command %s: page %d of %s has the bytes of command %s", id, p.Number, p.Root, e.ID)
			case p.Root != tries[0].Root:
				j.wrong(p.Root, id, "command %s is for %s; page %d of %s is its work", id, tries[0].Root, p.Number, p.Root)
			case i >= e.All:
				j.wrong(p.Root, id, "command %s is applied twice: pages %d and %d of %s are both its part %d", id, pages[e.Part-1].Number, p.Number, p.Root, e.Part)
			case e.Part != i+1 || p.Number != first.Number+uint32(i):
				j.wrong(p.Root, id, "command %s: page %d of %s is its part %d, and stands where part %d should", id, p.Number, p.Root, e.Part, i+1)
			}
			all = e.All
		}
		if len(pages) < all {
			j.wrong(first.Root, id, "command %s led to %d pages, of which the log has %d", id, all, len(pages))
		}
	}
}

// acknowledged: the log has exactly the pages that a caller was told of.
func (j *judge) acknowledged() {
	for id, tries := range j.commands {
		there := make([]page, len(j.pages[id]))
		for i, p := range j.pages[id] {
			there[i] = p.page
		}
		for _, t := range tries {
			if t.Result == acked && !slices.Equal(t.Pages, there) {
				j.wrong(t.Root, id, "command %s: the caller was told of %s of %s, the log has %s", id, pagesText(t.Pages), t.Root, pagesText(there))
			}
		}
	}
}

func pagesText(pages []page) string {
	if len(pages) == 0 {
		return "no pages"
	}
	return fmt.Sprint(pages)
}

// refused: what all who gave it were told is not applied, is not in the log; and
// an applied command is refused to nobody who asks afterwards.
func (j *judge) refused() {
	maybe := make(map[string]bool) // an outcome says that it was applied
	for _, o := range j.evidence.Outcomes {
		maybe[o.ID] = maybe[o.ID] || o.Code == codes.OK
	}
	for id, tries := range j.commands {
		may, firstAck := maybe[id], int64(forever)
		for _, t := range tries {
			may = may || t.Result == acked || t.Result == doubtful || t.Result == wrong
			if t.Result == acked {
				firstAck = min(firstAck, t.Return)
			}
		}
		if pages := j.pages[id]; !may && len(pages) > 0 {
			j.wrong(tries[0].Root, id, "command %s was refused to all who gave it (%s), and page %d of %s is its work", id, tries[0].Said, pages[0].Number, pages[0].Root)
		}
		for _, t := range tries {
			if t.Call > firstAck && (t.Result == refused || t.Result == mismatched) {
				j.wrong(t.Root, id, "command %s was acknowledged, and then refused to who gave it again: %s", id, t.Said)
			}
		}
	}
}

// answers: nobody was told what no caller may be told.
func (j *judge) answers() {
	for _, t := range j.tries {
		if t.Result == wrong {
			j.wrong(t.Root, t.ID, "command %s of %s by %s was answered %s: %s", t.ID, t.Root, t.Way, t.Code, t.Said)
		}
	}
}

// deadLetters: nothing that was sent is one.
func (j *judge) deadLetters() {
	for _, source := range j.evidence.DeadLetters {
		j.wrong(log.Root{}, "", "%s became a dead letter", source)
	}
}

// books: owners that took over after the run know each root as the log has it.
func (j *judge) books() {
	for root, book := range j.evidence.Books {
		truth := state{}
		if pages := j.roots[root]; len(pages) > 0 {
			p := pages[len(pages)-1]
			e, _ := parseEvent(p.Event) // once has judged it
			truth = state{p.Number, e.Value}
		}
		if book != truth {
			j.wrong(root, "", "root %s: its owner knows page %d and value %d, the log says %d and %d", root, book.Last, book.Value, truth.Last, truth.Value)
		}
	}
}
