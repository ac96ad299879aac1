package chaos

import (
	"cmp"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/grpc/codes"

	"github.com/angzarr/angzarr-kafka/log"
)

// linearTime bounds how long one root's history is searched for an order.
const linearTime = 20 * time.Second

// effect is what an operation did: it applied the order, or it was refused, or
// it looked. After is the state that it left, or met.
type effect struct {
	Result result
	After  state
}

// model is an aggregate as one who is alone with it would see it.
var model = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, in, out any) (bool, any) { return step(s.(state), in.(*try), out.(effect)) },
}

func step(s state, t *try, e effect) (bool, state) {
	expected := t.Expected == 0 || t.Expected == s.Last+1
	switch e.Result {
	case acked:
		after := t.Order.decide(s.Value)
		if !expected || len(after) == 0 {
			return false, s
		}
		next := state{s.Last + uint32(len(after)), after[len(after)-1]}
		return next == e.After, next
	case refused:
		return expected && e.After == s && len(t.Order.decide(s.Value)) == 0, s
	case mismatched:
		return !expected && e.After.Last == s.Last, s
	default:
		return e.After == s, s
	}
}

// linearizable: each root's answers are those of some order that fits the times
// at which they were asked for and given.
func (j *judge) linearizable() {
	for root, operations := range j.operations() {
		if id, late := narrow(operations); late {
			j.wrong(root, id, "root %s: no order of its %d operations explains the answer to command %s: it was given before, or asked for after, it could be true", root, len(operations), id)
			continue
		}
		switch porcupine.CheckOperationsTimeout(model, operations, linearTime) {
		case porcupine.Illegal:
			j.wrong(root, "", "root %s: no order of its %d operations explains the answers", root, len(operations))
		case porcupine.Unknown:
			j.wrong(root, "", "root %s: no order of its %d operations was found within %v", root, len(operations), linearTime)
		}
	}
}

// narrow gives each operation the times that the others leave it, so that the
// search need not try what can't be: what met or left a page comes before all
// that came upon later ones, and can't be over after the first of them. late is
// one that these leave no time.
func narrow(operations []porcupine.Operation) (late string, found bool) {
	place := func(o porcupine.Operation) (page uint32, left bool) {
		e := o.Output.(effect)
		return e.After.Last, e.Result == acked
	}
	// What left a page goes before what met it.
	slices.SortStableFunc(operations, func(a, b porcupine.Operation) int {
		at, left := place(a)
		other, too := place(b)
		if c := cmp.Compare(at, other); c != 0 || left == too {
			return c
		}
		if left {
			return -1
		}
		return 1
	})
	// Those that met the same page bound each other in no way.
	same := func(i, k int) bool {
		at, left := place(operations[i])
		other, too := place(operations[k])
		return at == other && !left && !too
	}
	for begun, i := int64(0), 0; i < len(operations); {
		next, k := begun, i
		for ; k < len(operations) && (k == i || same(i, k)); k++ {
			operations[k].Call = max(operations[k].Call, begun)
			next = max(next, operations[k].Call)
		}
		begun, i = next, k
	}
	for over, i := int64(forever), len(operations)-1; i >= 0; {
		next, k := over, i
		for ; k >= 0 && (k == i || same(i, k)); k-- {
			operations[k].Return = min(operations[k].Return, over)
			next = min(next, operations[k].Return)
		}
		over, i = next, k
	}
	for _, o := range operations {
		if o.Call > o.Return {
			return o.Input.(*try).ID, true
		}
	}
	return "", false
}

// operations makes one of all tries of a command that is in the log: whichever
// of them applied it. It began with the first of them, and was over with the
// first acknowledgement, or never. Each refusal is one for itself. A command in
// doubt that is not in the log did nothing.
func (j *judge) operations() map[log.Root][]porcupine.Operation {
	all := make(map[log.Root][]porcupine.Operation)
	put := func(t *try, call, end int64, e effect) {
		all[t.Root] = append(all[t.Root], porcupine.Operation{ClientId: len(all[t.Root]), Input: t, Call: call, Return: end, Output: e})
	}
	for i := range j.tries {
		switch t := &j.tries[i]; t.Result {
		case refused, mismatched, seen:
			put(t, t.Call, t.Return, effect{t.Result, t.At})
		}
	}
	for id, tries := range j.commands {
		begun, over := int64(forever), int64(forever)
		for _, t := range tries {
			begun = min(begun, t.Call)
			if t.Result == acked {
				over = min(over, t.Return)
			}
		}
		if pages := j.pages[id]; len(pages) > 0 {
			p := pages[len(pages)-1]
			e, _ := parseEvent(p.Event) // once has judged it
			put(tries[0], begun, over, effect{acked, state{p.Number, e.Value}})
		}
	}
	for _, o := range j.evidence.Outcomes {
		for _, t := range j.commands[o.ID] {
			if t.Result != produced {
				continue
			}
			if at, ok := refusedAt(o.Said); ok && o.Code == codes.FailedPrecondition {
				put(t, firstCall(j.commands[o.ID]), forever, effect{refused, at})
			}
			break
		}
	}
	return all
}

func firstCall(tries []*try) int64 {
	first := int64(forever)
	for _, t := range tries {
		first = min(first, t.Call)
	}
	return first
}
