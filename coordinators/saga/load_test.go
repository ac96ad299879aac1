package saga_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
)

// Workers die, are evicted, stop and come back while events are written: each
// command is in its topic once, and each root's are in order.
func TestCrashesUnderLoad(t *testing.T) {
	w := newWorld(t, 4)
	s := &server{sync: w.each(2)}
	roots := w.Roots(40)
	const events, rounds = 12, 6
	workers := []*reactortest.Worker{w.Start("s", w.saga(s)), w.Start("s", w.saga(s)), w.Start("s", w.saga(s))}
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for round := range rounds {
		for e := range events / rounds {
			for _, root := range roots {
				w.Put(root, fmt.Sprint(round*events/rounds+e+1))
			}
		}
		i := random.IntN(len(workers))
		switch random.IntN(3) {
		case 0:
			workers[i].Crash()
		case 1:
			workers[i].Stop()
		default:
			workers[i].Evict()
			continue // it comes back by itself
		}
		workers[i] = w.Start("s", w.saga(s))
	}
	w.Done(w.Group("s"))
	w.wantOnce(roots, events, 2)
	_, books := w.commands(w.target)
	last := make(map[log.Root]uint32)
	for _, b := range books {
		root := log.Root(b.SagaOrigin.Cause.Root.Value)
		if b.SagaOrigin.Sequence < last[root] {
			t.Errorf("root %s: a command of page %d comes after one of page %d", root, b.SagaOrigin.Sequence, last[root])
		}
		last[root] = b.SagaOrigin.Sequence
	}
	if n := len(w.DeadLetters()); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}
