package sequel

import (
	"strings"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/types/known/anypb"
)

var (
	projectorOf = func(domain string) Reader {
		return Reader{log.Service{Kind: log.KindProjector, Name: "p", Domain: domain}, log.ProjectorGroup("p", domain), true}
	}
	sagaOf = func(domain string) Reader {
		return Reader{log.Service{Kind: log.KindSaga, Name: "s", Domain: domain}, log.SagaGroup("s", domain), true}
	}
	lazy = Reader{log.Service{Kind: log.KindProjector, Name: "lazy", Domain: "a"}, log.ProjectorGroup("lazy", "a"), false}

	root = log.Root{1}
	of   = stretch{aggregate: aggregate{"a", root}, first: 3, last: 5, at: -1, sagas: 2}
)

func readersOf(domain string) []Reader {
	switch domain {
	case "a":
		return []Reader{projectorOf("a"), sagaOf("a"), lazy}
	case "b":
		return []Reader{projectorOf("b")}
	}
	return nil
}

func react(r Reader, first, last uint32, commands ...string) *angzarr.Reaction {
	reaction := &angzarr.Reaction{Group: r.Group, Cover: aggregate{r.Domain, root}.cover(), FirstPage: first, LastPage: last}
	for _, id := range commands {
		reaction.Commands = append(reaction.Commands, &angzarr.CommandBook{CommandId: id, Cover: aggregate{"b", root}.cover()})
	}
	return reaction
}

func projection(r Reader, sequence uint32, size int) *angzarr.Reaction {
	reaction := react(r, sequence, sequence)
	reaction.Projection = &angzarr.Projection{Sequence: sequence, Projection: &anypb.Any{Value: make([]byte, size)}}
	return reaction
}

func outcome(id string, first, last uint32) *angzarr.Outcome {
	o := &angzarr.Outcome{CommandId: id, FirstPage: first, LastPage: last}
	if last > 0 {
		o.Book = &angzarr.EventBook{Pages: make([]*angzarr.EventPage, last-first+1)}
	}
	return o
}

// wanted names what is waited for.
func wanted(s sequel) string {
	var all []string
	for _, w := range s.wants {
		if w.command != "" {
			all = append(all, w.command)
			continue
		}
		all = append(all, w.reader.String()+" of "+w.domain)
	}
	return strings.Join(all, ", ")
}

func TestWhatIsWaitedFor(t *testing.T) {
	for name, tc := range map[string]struct {
		know func(*facts)
		want string
	}{
		"nothing is known":   {func(*facts) {}, "projector.p of a, saga.s of a"},
		"the projector did":  {func(f *facts) { f.reacted(react(projectorOf("a"), 3, 5)) }, "saga.s of a"},
		"more than these":    {func(f *facts) { f.reacted(react(projectorOf("a"), 1, 9)) }, "saga.s of a"},
		"some of these":      {func(f *facts) { f.reacted(react(projectorOf("a"), 3, 4)) }, "projector.p of a, saga.s of a"},
		"not the middle one": {func(f *facts) { f.reacted(react(sagaOf("a"), 5, 5)); f.reacted(react(sagaOf("a"), 3, 3)) }, "projector.p of a, saga.s of a"},
		"one by one, in any order": {func(f *facts) {
			for _, n := range []uint32{5, 3, 4} {
				f.reacted(react(sagaOf("a"), n, n))
			}
		}, "projector.p of a"},
		"of another root": {func(f *facts) {
			r := react(projectorOf("a"), 3, 5)
			r.Cover.Root.Value = make([]byte, 16)
			f.reacted(r)
		}, "projector.p of a, saga.s of a"},
		"of nobody": {func(f *facts) {
			f.reacted(&angzarr.Reaction{Group: projectorOf("a").Group, FirstPage: 3, LastPage: 5})
		}, "projector.p of a, saga.s of a"},
		"one is no more": {func(f *facts) { f.gone[sagaOf("a").Group] = true }, "projector.p of a"},
		"the saga's commands": {func(f *facts) {
			f.reacted(react(projectorOf("a"), 3, 5))
			f.reacted(react(sagaOf("a"), 3, 5, "x", "y"))
			f.decided(outcome("x", 0, 0))
		}, "y"},
		"pages that are not known yet": {func(f *facts) {
			f.reacted(react(projectorOf("a"), 3, 5))
			f.reacted(react(sagaOf("a"), 3, 5, "x"))
			f.decided(&angzarr.Outcome{CommandId: "x", FirstPage: 1, LastPage: 1})
		}, "x"},
		"what the commands led to": {func(f *facts) {
			f.reacted(react(projectorOf("a"), 3, 5))
			f.reacted(react(sagaOf("a"), 3, 5, "x"))
			f.decided(outcome("x", 1, 1))
		}, "projector.p of b"},
		"who is told of a rejection": {func(f *facts) {
			f.reacted(react(projectorOf("a"), 3, 5))
			f.reacted(react(sagaOf("a"), 3, 5, "x"))
			f.decided(&angzarr.Outcome{CommandId: "x", Code: 9, Notified: true})
		}, "x/rejected"},
		"what the compensation led to": {func(f *facts) {
			f.reacted(react(projectorOf("a"), 3, 5))
			f.reacted(react(sagaOf("a"), 3, 5, "x"))
			f.decided(&angzarr.Outcome{CommandId: "x", Code: 9, Notified: true})
			f.decided(outcome("x/rejected", 6, 6))
		}, "projector.p of a, saga.s of a"},
		"all of it": {func(f *facts) {
			f.reacted(react(projectorOf("a"), 3, 5))
			f.reacted(react(sagaOf("a"), 3, 5, "x"))
			f.decided(outcome("x", 1, 1))
			f.reacted(react(projectorOf("b"), 1, 1))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFacts(1000)
			tc.know(f)
			if got := wanted(f.sequelOf(of, readersOf)); got != tc.want {
				t.Errorf("waits for %q, want %q", got, tc.want)
			}
			tc.know(f) // it is told again
			if got := wanted(f.sequelOf(of, readersOf)); got != tc.want {
				t.Errorf("told twice it waits for %q", got)
			}
		})
	}
	only := of
	only.only = lazy.Group
	if got := wanted(newFacts(0).sequelOf(only, readersOf)); got != "projector.lazy of a" {
		t.Errorf("of one alone it waits for %q", got)
	}
}

func TestOnlySoManySagas(t *testing.T) {
	f := newFacts(1000)
	f.reacted(react(projectorOf("a"), 3, 5))
	f.reacted(react(sagaOf("a"), 3, 5, "x"))
	last := of
	last.sagas = 0
	s := f.sequelOf(last, readersOf)
	if len(s.wants) != 0 || len(s.Undone) != 1 || s.Undone[0].CommandId != "x" || s.Undone[0].Reason != angzarr.Undone_REASON_DEPTH {
		t.Errorf("gives %v, and waits for %s", s.Undone, wanted(s))
	}
}

// What would make the answer too large is named instead.
func TestWhatIsTooLarge(t *testing.T) {
	f := newFacts(1000)
	f.reacted(projection(projectorOf("a"), 3, 400))
	f.reacted(projection(projectorOf("a"), 5, 700)) // takes the place of the one before
	f.reacted(projection(projectorOf("a"), 4, 10))  // which is older
	f.reacted(react(projectorOf("a"), 3, 5))
	f.reacted(react(sagaOf("a"), 3, 5, "x"))
	large := outcome("x", 1, 1)
	large.Book.CommandId = strings.Repeat("x", 400)
	f.decided(large)
	f.reacted(projection(projectorOf("b"), 1, 200))
	s := f.sequelOf(of, readersOf)
	if len(s.wants) != 0 || len(s.Projections) != 2 || s.Projections[0].Sequence != 5 || len(s.Projections[0].Projection.Value) != 700 {
		t.Errorf("gives %d projections, and waits for %s", len(s.Projections), wanted(s))
	}
	if len(s.Books) != 0 || len(s.Undone) != 1 || s.Undone[0].Reason != angzarr.Undone_REASON_LEFT_OUT || s.Undone[0].LastPage != 1 {
		t.Errorf("gives %d books, and leaves out %v", len(s.Books), s.Undone)
	}
	f.reacted(projection(projectorOf("b"), 2, 2000))
	if s = f.sequelOf(of, readersOf); len(s.Projections) != 1 || len(s.Undone) != 2 || s.Undone[1].Service != "projector.p" {
		t.Errorf("gives %d projections, and leaves out %v", len(s.Projections), s.Undone)
	}
}
