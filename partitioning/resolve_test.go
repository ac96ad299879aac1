package partitioning_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// fenceBetween loses the first end of a transaction, or only its answer, and has
// somebody fence the producer before the client tries again.
func fenceBetween(w *world, x *logtest.Wire, id string, lost logtest.Fate) {
	first, ended := new(atomic.Bool), make(chan struct{})
	x.On(kmsg.EndTxn, func(kmsg.Request) logtest.Fate {
		if first.CompareAndSwap(false, true) {
			close(ended)
			return lost
		}
		<-ended
		w.fenceProducer(id)
		return logtest.Passes
	})
}

// fenceProducer does what a takeover does with the transaction of a dead worker.
func (w *world) fenceProducer(id string) {
	w.t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, 10_000
	req.ProducerID, req.ProducerEpoch = -1, -1
	for {
		resp, err := req.RequestWith(context.Background(), w.client)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if !errors.Is(err, kerr.ConcurrentTransactions) {
			if err != nil {
				w.t.Error(err)
			}
			return
		}
	}
}

func (x *worker) transactionalID() string { return x.w.group + "/" + x.id.Incarnation + "/1" }

// The broker commits, its answer is lost, somebody fences the producer, and what
// the client hears at last is that it was fenced.
func TestFencedAlthoughCommitted(t *testing.T) {
	t.Parallel()
	t.Run("without the rule", func(t *testing.T) {
		w := newWorld(t, 1)
		x := logtest.NewWire(t, w.Cluster.Brokers[0])
		r := w.raw("raw", kgo.SeedBrokers(x.Addr()))
		fenceBetween(w, x, r.id, logtest.LosesAnswer)
		err := r.begin().produce(0, "1").end()
		t.Logf("the client says: %v", err)
		wrong(t, "an error hides a commit", err != nil)
		w.wantPages("1") // and whoever does it again makes it twice
	})
	versions(t, func(t *testing.T, w *world, opts ...option) {
		a := w.join(opts...)
		c := a.claim(0)
		fenceBetween(w, a.wire, a.transactionalID(), logtest.LosesAnswer)
		begun := time.Now()
		a.mustCommit(c, "1")
		t.Logf("found out after %v", time.Since(begun))
		a.mustCommit(c, "2")
		w.wantPages("1", "2")
	})
}

// The same, but the broker never saw the end.
func TestFencedAndAborted(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, w *world, opts ...option) {
		a := w.join(opts...)
		c := a.claim(0)
		fenceBetween(w, a.wire, a.transactionalID(), logtest.LosesItself)
		if err := a.commit(c, "1"); !errors.Is(err, partitioning.ErrNotCommitted) {
			t.Errorf("commit that was aborted by another: %v", err)
		}
		a.mustCommit(c, "1 again")
		w.wantPages("1 again")
	})
}

// An end that is answered only when tried again is no doubt.
func TestEndIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]logtest.Fate{"request": logtest.LosesItself, "answer": logtest.LosesAnswer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			versions(t, func(t *testing.T, w *world, opts ...option) {
				a := w.join(opts...)
				c := a.claim(0)
				var ends atomic.Int32
				a.wire.On(kmsg.EndTxn, func(kmsg.Request) logtest.Fate {
					if ends.Add(1) == 1 {
						return lost
					}
					return logtest.Passes
				})
				a.mustCommit(c, "1")
				a.mustCommit(c, "2")
				w.wantPages("1", "2")
			})
		})
	}
}

// Every answer of this client is lost, but not those of others: the transaction
// is committed, and the commit that asks until its context ends can't know.
func TestOutcomeUnknown(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join()
	c := a.claim(0)
	a.mustCommit(c, "1")
	a.wire.On(kmsg.EndTxn, func(kmsg.Request) logtest.Fate {
		a.wire.On(kmsg.InitProducerID, func(kmsg.Request) logtest.Fate { return logtest.LosesAnswer })
		return logtest.LosesAnswer
	})
	err := a.commitWithin(time.Second, c, "2")
	if !errors.Is(err, partitioning.ErrOutcomeUnknown) || errors.Is(err, partitioning.ErrNotCommitted) {
		t.Errorf("commit without any answer: %v", err)
	}
	w.wantPages("1", "2")
}
