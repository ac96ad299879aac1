package partitioning_test

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// asks are what a member asks of brokers with every membership.
var asks = []kmsg.Key{
	kmsg.Metadata, kmsg.FindCoordinator,
	kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetFetch,
	kmsg.ListTransactions, kmsg.ListOffsets, kmsg.Fetch,
	kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn,
	kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn,
}

// under is two pumps under load, of which the second speaks transaction version
// 1, and what must be true of them in the end.
type under struct {
	*world
	committed, sent atomic.Int64
	a, b            *pump
	stopFeeding     func()
}

func (w *world) underLoad() *under {
	u := &under{world: w}
	u.stopFeeding = w.feeding(&u.sent, &u.committed)
	u.a, u.b = w.pump(&u.committed), w.pump(&u.committed, oldTransactions)
	return u
}

// more waits until so many more commands are committed.
func (u *under) more(commands int64) {
	u.t.Helper()
	until := u.committed.Load() + commands
	eventually(u.t, "commands are handled", func() bool { return u.committed.Load() >= until })
}

// settled waits until a pump is a member that owns something.
func (u *under) settled(p *pump) {
	u.t.Helper()
	eventually(u.t, "it is a member", func() bool {
		return u.members()[p.id.Incarnation] != "" && u.stable() && len(p.claims()) > 0
	})
}

func (u *under) audit() {
	u.t.Helper()
	u.stopFeeding()
	allHandled(u.t, u.world)
	u.a.leave()
	u.b.leave()
	verify(u.t, u.world, u.sent.Load())
	for _, err := range append(u.a.errs, u.b.errs...) {
		if !errors.Is(err, partitioning.ErrNotCommitted) {
			u.t.Errorf("a commit without an outcome: %v", err)
		}
	}
	u.t.Logf("%d commands; refused commits: %d", u.sent.Load(), len(u.a.errs)+len(u.b.errs))
}

// The connection breaks at every kind of request, once before the broker has
// acted and once after, while the worker is evicted and comes back: every request
// of a member is made then.
func TestEveryKindOfRequestIsLost(t *testing.T) {
	w := newWorld(t, 4)
	u := w.underLoad()
	for _, key := range asks {
		x := u.a
		if key == kmsg.AddPartitionsToTxn || key == kmsg.AddOffsetsToTxn {
			x = u.b
		}
		u.settled(x)
		var lost atomic.Int32
		x.wire.On(key, func(kmsg.Request) logtest.Fate {
			switch lost.Add(1) {
			case 1:
				return logtest.LosesItself
			case 2:
				return logtest.LosesAnswer
			}
			return logtest.Passes
		})
		w.evict(x.worker)
		evicted := time.Now()
		eventually(t, key.Name()+" was lost twice", func() bool {
			if time.Since(evicted) > 2*time.Second && u.members()[x.id.Incarnation] != "" && u.stable() {
				w.evict(x.worker) // some are asked again only now and then
				evicted = time.Now()
			}
			return lost.Load() >= 2
		})
		u.more(10)
	}
	u.audit()
}

// All answers take their time, some of them long, and a worker is evicted.
func TestSlowBroker(t *testing.T) {
	w := newWorld(t, 4)
	u := w.underLoad()
	for _, key := range asks {
		for _, x := range []*pump{u.a, u.b} {
			x.wire.On(key, func(kmsg.Request) logtest.Fate {
				late := time.Duration(rand.IntN(20)) * time.Millisecond
				if rand.IntN(50) == 0 {
					late = time.Second
				}
				<-time.After(late)
				return logtest.Passes
			})
		}
	}
	for range 2 {
		u.settled(u.b)
		w.evict(u.b.worker)
		u.more(50)
	}
	u.audit()
}

// The broker restarts under load, and a worker is evicted as soon as it is back.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	b, restart := logtest.StartLasting(t)
	w := newWorldOn(t, b, 4)
	u := w.underLoad()
	for range 3 {
		u.more(50)
		restart()
		u.settled(u.b)
		w.evict(u.b.worker)
		u.more(50)
	}
	u.audit()
}

// The end of a transaction is not answered, and before it can be tried again the
// worker is taken over. It finds out what became of the transaction; its successor
// goes on from there.
func TestEndWithoutAnswerAndTakeover(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		fate logtest.Fate
		want []string
	}{
		"committed": {logtest.LosesAnswer, []string{"0", "1", "2"}},
		"aborted":   {logtest.LosesItself, []string{"0", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			versions(t, func(t *testing.T, w *world, opts ...option) {
				a := w.join(opts...)
				c := a.claim(0)
				b := w.join(opts...)
				eventually(t, "a commits as one of two", func() bool {
					return w.stable() && len(w.members()) == 2 && a.commit(c, "0") == nil
				})
				var ends atomic.Int32
				lost, again := make(chan struct{}), make(chan struct{})
				a.wire.On(kmsg.EndTxn, func(kmsg.Request) logtest.Fate {
					if ends.Add(1) == 1 {
						close(lost)
						return row.fate
					}
					<-again
					return logtest.Passes
				})
				done := make(chan error, 1)
				go func() { done <- a.commit(c, "1") }()
				<-lost
				heard, release := a.wire.Hold(t, kmsg.Heartbeat) // it does not hear of it
				w.evict(a)
				taken := b.claim(0)
				close(again)
				<-heard
				release()
				if err := <-done; (err == nil) != (row.fate == logtest.LosesAnswer) {
					t.Errorf("the worker that was taken over says: %v", err)
				} else if err != nil && !errors.Is(err, partitioning.ErrNotCommitted) {
					t.Errorf("it does not know: %v", err)
				}
				b.mustCommit(taken, "2")
				w.wantPages(row.want...)
			})
		})
	}
}
