package partitioning_test

import (
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// forgotten has the broker say once that it has forgotten the producer of a
// partition of the events topic, of which retention has deleted all.
func forgotten(x *logtest.Wire, partition int32) {
	var said atomic.Bool
	x.Forge(kmsg.Produce, func(resp kmsg.Response) {
		topics := resp.(*kmsg.ProduceResponse).Topics
		for i := range topics {
			for j := range topics[i].Partitions {
				if p := &topics[i].Partitions[j]; p.Partition == partition && said.CompareAndSwap(false, true) {
					p.ErrorCode, p.LogStartOffset = kerr.UnknownProducerID.Code, 1000
				}
			}
		}
	})
}

// The client takes a new producer id then and goes on, within the transaction,
// of which the broker has aborted what was written so far.
func TestProducerIDWithinATransaction(t *testing.T) {
	t.Parallel()
	t.Run("without the rule", func(t *testing.T) {
		w := newWorld(t, 2)
		x := logtest.NewWire(t, w.Cluster.Brokers[0])
		r := w.raw("raw", kgo.SeedBrokers(x.Addr()))
		ok(t, r.begin().produce(0, "0").produce(1, "1").end())
		forgotten(x, 1)
		failed := 0
		r.begin()
		for p, page := range []string{"lost", "kept"} {
			record := w.page(int32(p), page)
			r.client.Produce(t.Context(), record.ToClient(), func(_ *kgo.Record, err error) {
				if err != nil {
					failed++
				}
			})
		}
		ok(t, r.client.Flush(t.Context()))
		err := r.end()
		if w.facts.TransactionVersion < 2 {
			t.Skipf("brokers without transaction version 2 refuse it: %v", err)
		}
		wrong(t, "both are acknowledged, and one is committed", failed == 0 && err == nil)
		w.wantPages("0", "1", "kept")
	})
	versions(t, func(t *testing.T, w *world, opts ...option) {
		a := w.join(opts...)
		c := a.claim(0)
		both := func(zero, one string) error {
			return a.Commit(t.Context(), partitioning.Transaction{
				Records: []log.Record{w.page(0, zero), w.page(1, one)},
				Offsets: []partitioning.Offset{c.Offset()},
			})
		}
		ok(t, both("0", "1"))
		forgotten(a.wire, 1)
		if err := both("no", "no"); !errors.Is(err, partitioning.ErrNotCommitted) {
			t.Errorf("commit with two producer ids: %v", err)
		}
		ok(t, both("2", "3"))
		w.wantPages("0", "2", "1", "3")
	})
}

// Brokers forget a transactional id that was idle for transactional.id.expiration.ms,
// 7 days by default.
func TestExpiredTransactionalID(t *testing.T) {
	w := newWorld(t, 1, kfake.BrokerConfigs(map[string]string{"transactional.id.expiration.ms": "1"}))
	a := w.join()
	c := a.claim(0)
	var want []string
	commit := func() bool {
		page := strconv.Itoa(len(want) + 1)
		err := a.commit(c, page)
		if err == nil {
			want = append(want, page)
		} else if !errors.Is(err, partitioning.ErrNotCommitted) {
			t.Fatal(err)
		}
		return err == nil
	}
	for range 3 {
		eventually(t, "committed", commit)
		eventually(t, "the id has expired", func() bool { return !commit() })
	}
	eventually(t, "committed", commit)
	w.wantPages(want...)
}

// The broker is away for a while when a transaction is to be aborted. It does
// not stay open for longer than that.
func TestAbortWithoutAnswer(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join()
	c := a.claim(0)
	a.mustCommit(c, "1")
	var away atomic.Bool
	away.Store(true)
	lost := func(kmsg.Request) logtest.Fate {
		if away.Load() {
			return logtest.LosesItself
		}
		return logtest.Passes
	}
	for _, key := range []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.InitProducerID} {
		a.wire.On(key, lost)
	}
	if err := a.commitWithin(200*time.Millisecond, c, "never"); !errors.Is(err, partitioning.ErrNotCommitted) {
		t.Errorf("commit without answers: %v", err)
	}
	away.Store(false)
	// By now its heartbeats may have been lost for too long as well.
	eventually(t, "committed", func() bool { return a.commit(a.claim(0), "2") == nil })
	w.wantNothingOpen()
	w.wantPages("1", "2")
}

// A worker that stops while a commit finds no end waits for it no longer than
// commits may take.
func TestLeaveWhileCommitting(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join()
	c := a.claim(0)
	a.mustCommit(c, "1")
	ended, _ := a.wire.Hold(t, kmsg.EndTxn)
	done := make(chan error, 1)
	go func() { done <- a.commitWithin(time.Hour, c, "2") }()
	<-ended
	a.leave()
	if err := <-done; !errors.Is(err, partitioning.ErrOutcomeUnknown) {
		t.Errorf("the commit that was under way: %v", err)
	}
	b := w.join()
	b.mustCommit(b.claim(0), "3")
	w.wantPages("1", "3")
}
