package rebuild_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// nth has a process crash at the n-th request of a key in a transaction of the
// steersman.
func (p *process) nth(key kmsg.Key, n int32, fate logtest.Fate) {
	var seen atomic.Int32
	p.wire.On(key, func(req kmsg.Request) logtest.Fate {
		id := ""
		if req, ends := req.(*kmsg.EndTxnRequest); ends {
			id = req.TransactionalID
		}
		if strings.HasPrefix(id, log.SteeringGroup(p.w.name)+"/") && seen.Add(1) == n {
			return fate
		}
		return logtest.Passes
	})
}

// The process that steers a rebuild crashes at each step of it: when it begins,
// when the old version has stopped, when the new one has, in the exchange, at its
// end, and when it cleans up. Another one goes on.
func TestACrashAtEachStepOfARebuild(t *testing.T) {
	steps := map[angzarr.SteerProjectorRequest_Order][]string{
		beside:  {"the order", "finishing", "switching", "the exchange", "the end", "the old one's end"},
		inPlace: {"the order", "the reset", "switching", "the exchange", "the end", "the old one's end"},
	}
	for order, steps := range steps {
		for n, step := range steps {
			for when, at := range map[string]struct {
				key  kmsg.Key
				fate logtest.Fate
			}{
				"before": {kmsg.EndTxn, logtest.CrashesBefore},
				"after":  {kmsg.EndTxn, logtest.CrashesAfter},
			} {
				t.Run(fmt.Sprintf("%v/%s/%s", order, step, when), func(t *testing.T) {
					w := newWorld(t, 1)
					roots := w.Roots(4)
					hidden := w.Root(0)
					w.Put(hidden, "hidden")
					w.each(roots, 2)
					first := w.start()
					first.nth(at.key, int32(n+1), at.fate)
					w.comes(roots, "1: 2")
					reactortest.Eventually(t, "somebody steers", func() bool { return w.standing().Processes == 1 })
					obeyed := make(chan error, 1)
					go func() {
						_, err := w.asked.Steer(t.Context(), &angzarr.SteerProjectorRequest{Projector: w.name, Order: order})
						obeyed <- err
					}()
					w.each(roots, 1)
					reactortest.Eventually(t, "the process has crashed", first.wire.IsCut)
					first.kill()
					w.start()
					if err := <-obeyed; err != nil {
						t.Error(err)
					}
					w.shows(2)
					w.each(roots, 1)
					w.comes(roots, "2: 4")
					if got := last(w.published()[hidden]); got != "-" {
						t.Errorf("of what version 2 leaves out there is %q", got)
					}
					if order == beside {
						w.rises()
					}
				})
			}
		}
	}
}

// Processes come and go, in order and not, while a projector is rebuilt again and
// again and its events go on.
func TestRebuildsThroughCrashes(t *testing.T) {
	w := newWorld(t, 2)
	roots := w.Roots(20)
	w.each(roots, 5)
	p, q := w.start(), w.start()
	w.comes(roots, "1: 5")
	for round := range 2 {
		w.order(beside)
		w.each(roots, 1)
		p.kill()
		p = w.start()
		w.each(roots, 1)
		q.stop()
		q = w.start()
		w.shows(uint32(round + 2))
	}
	w.each(roots, 1)
	w.comes(roots, "3: 10")
	w.rises()
	for _, root := range roots {
		if had := w.service.had(3, root); had != 10 {
			t.Errorf("version 3 has had %d events of a root, want 10", had)
		}
	}
}
