package sequel_test

import (
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Workers that die after their commit and before they have told anybody: the answer
// comes all the same, and nothing is called twice.
func TestKilledBeforeItTold(t *testing.T) {
	for name, crash := range map[string]func(w *world) *member{
		"the projector's": func(w *world) *member { return w.project(w.orders, true) },
		"the saga's":      func(w *world) *member { return w.saga(w.orders, true) },
		"the stock's":     func(w *world) *member { return w.decide(w.stock, true) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.decide(w.orders, false)
			w.project(w.stock, false)
			dies := crash(w)
			again := func() { // the one that takes over
				switch name {
				case "the projector's":
					w.project(w.orders, false)
				case "the saga's":
					w.saga(w.orders, false)
				default:
					w.decide(w.stock, false)
				}
			}
			if name != "the projector's" {
				w.project(w.orders, false)
			}
			if name != "the saga's" {
				w.saga(w.orders, false)
			}
			if name != "the stock's" {
				w.decide(w.stock, false)
			}
			d := w.door(nil, 3)
			if answer, err := d.Handle(w.within(), w.command(uuid.New(), "", "order lamp", true)); err != nil || w.shown(answer) != lamp {
				t.Fatalf("before the crash: %s, %v", w.shown(answer), err)
			}
			dies.On(kmsg.EndTxn, func(kmsg.Request) logtest.Fate { return logtest.CrashesAfter })
			answered := make(chan string, 1)
			go func() {
				answer, err := d.Handle(w.within(), w.command(uuid.New(), "", "order chair", true))
				if err != nil {
					answered <- err.Error()
					return
				}
				answered <- w.shown(answer)
			}()
			reactortest.Eventually(t, "the worker has crashed", dies.IsCut)
			dies.evict()
			again()
			want := "orders 1: order chair; stock 1: reserve chair; summary of orders 1: order chair; summary of stock 1: reserve chair"
			if got := <-answered; got != want {
				t.Errorf("answered %s\nwant     %s", got, want)
			}
			for what, c := range map[string]*calls{"projector": w.projected, "saga": w.reacted} {
				c.mu.Lock()
				if n := c.of[w.orders.Name+" order chair"]; n != 1 {
					t.Errorf("the %s was called %d times", what, n)
				}
				c.mu.Unlock()
			}
			if n := len(commandsTo(t, w, "reserve chair")); n != 1 {
				t.Errorf("the saga's command is in its topic %d times", n)
			}
		})
	}
}
