package reactor_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// steps are the requests of a commit, in their order.
var steps = []kmsg.Key{kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn}

// with has a worker commit in a way that has the step: offsets are added to a
// transaction by a request of its own only before transaction.version 2.
func with(key kmsg.Key) reactortest.Option {
	return func(c *reactor.Config) {
		if key == kmsg.AddOffsetsToTxn {
			c.Member.TransactionVersion = 0
		}
	}
}

// copier is a service of which each event leads to a record that says the same.
func copier(topic string) *service {
	return &service{call: func(_ context.Context, run reactor.Run) (records []log.Record, _ *reactor.Failure) {
		for _, said := range says(run) {
			records = append(records, log.Record{Topic: topic, Key: run.Root[:], Value: []byte(said)})
		}
		return records, nil
	}}
}

// once wants each event's record once, each root's in order.
func once(t *testing.T, w *reactortest.World, topic string, roots []log.Root, n int) {
	t.Helper()
	next := make(map[log.Root]int)
	for _, r := range logtest.ReadCommitted(t, w.Cluster, topic) {
		var i, j int
		fmt.Sscanf(string(r.Value), "%d.%d", &i, &j)
		root := log.Root(r.Key)
		if next[root]++; next[root] != j {
			t.Errorf("%s comes as number %d of its root", r.Value, next[root])
		}
	}
	for _, root := range roots {
		if next[root] != n {
			t.Errorf("root %s: %d records, want %d", root, next[root], n)
		}
	}
}

// A worker crashes before and after each step of a commit; another takes over.
func TestACrashAtEachStep(t *testing.T) {
	for _, key := range steps {
		for name, fate := range map[string]logtest.Fate{"before": logtest.CrashesBefore, "after": logtest.CrashesAfter} {
			t.Run(name+" "+key.Name(), func(t *testing.T) {
				t.Parallel()
				w := reactortest.New(t, 1)
				topic := w.Broker.Domain("copies")
				w.CreateTopic(t, topic, 1)
				roots := w.Roots(4)
				put(w, roots[:1], 1)
				x := w.Start("p", copier(topic), with(key))
				w.Done(w.Group("p")) // it has a producer
				x.Wire.On(key, func(kmsg.Request) logtest.Fate { return fate })
				put(w, roots[1:], 1)
				reactortest.Eventually(t, "the worker has crashed", x.Wire.IsCut)
				x.Crash()
				w.Start("p", copier(topic))
				w.Done(w.Group("p"))
				once(t, w, topic, roots, 1)
			})
		}
	}
}

// A request, or its answer, is lost, and the worker goes on.
func TestALossAtEachStep(t *testing.T) {
	for _, key := range append(steps, kmsg.Heartbeat, kmsg.Fetch) {
		for name, fate := range map[string]logtest.Fate{"itself": logtest.LosesItself, "its answer": logtest.LosesAnswer} {
			t.Run(key.Name()+" loses "+name, func(t *testing.T) {
				t.Parallel()
				w := reactortest.New(t, 1)
				topic := w.Broker.Domain("copies")
				w.CreateTopic(t, topic, 1)
				roots := w.Roots(4)
				put(w, roots[:1], 1)
				x := w.Start("p", copier(topic), with(key))
				w.Done(w.Group("p"))
				var lost atomic.Bool
				x.Wire.On(key, func(kmsg.Request) logtest.Fate {
					if lost.CompareAndSwap(false, true) {
						return fate
					}
					return logtest.Passes
				})
				put(w, roots[1:], 1)
				w.Done(w.Group("p"))
				reactortest.Eventually(t, "something was lost", lost.Load)
				once(t, w, topic, roots, 1)
			})
		}
	}
}

// A worker is evicted while a step of its commit is held up.
func TestAnEvictionAtEachStep(t *testing.T) {
	for _, key := range steps {
		t.Run(key.Name(), func(t *testing.T) {
			t.Parallel()
			w := reactortest.New(t, 1)
			topic := w.Broker.Domain("copies")
			w.CreateTopic(t, topic, 1)
			roots := w.Roots(4)
			put(w, roots[:1], 1)
			x := w.Start("p", copier(topic), with(key))
			w.Done(w.Group("p"))
			y := w.Start("p", copier(topic)) // which waits for its turn
			held, release := x.Wire.Hold(t, key)
			put(w, roots[1:], 1)
			<-held
			beats, releaseBeats := x.Wire.Hold(t, kmsg.Heartbeat) // it does not hear of it
			<-beats
			x.Evict()
			reactortest.Eventually(t, "the other has taken over", func() bool { return y.Owned() == 1 })
			release()
			releaseBeats()
			w.Done(w.Group("p"))
			once(t, w, topic, roots, 1)
		})
	}
}

// Workers that stop, and others that come, call nothing twice.
func TestHandover(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 4)
	topic := w.Broker.Domain("copies")
	w.CreateTopic(t, topic, 1)
	roots := w.Roots(40)
	s := copier(topic)
	s.t = t
	x := w.Start("p", s)
	put(w, roots, 3)
	y := w.Start("p", s)
	x.Stop()
	z := w.Start("p", s)
	y.Stop()
	w.Done(w.Group("p"))
	z.Stop()
	s.inOrder(t, roots, 3)
	once(t, w, topic, roots, 3)
}
