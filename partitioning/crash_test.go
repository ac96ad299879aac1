package partitioning_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// A worker dies at every step of a commit, before and after the broker has acted
// on it. Its successor finds each command either done or to be done.
func TestCrash(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		key  kmsg.Key
		opts []option
	}{
		"begin":                  {kmsg.InitProducerID, nil},
		"produce":                {kmsg.Produce, nil},
		"offsets":                {kmsg.TxnOffsetCommit, nil},
		"end":                    {kmsg.EndTxn, nil},
		"version 1: partitions":  {kmsg.AddPartitionsToTxn, []option{oldTransactions}},
		"version 1: produce":     {kmsg.Produce, []option{oldTransactions}},
		"version 1: add offsets": {kmsg.AddOffsetsToTxn, []option{oldTransactions}},
		"version 1: offsets":     {kmsg.TxnOffsetCommit, []option{oldTransactions}},
		"version 1: end":         {kmsg.EndTxn, []option{oldTransactions}},
	} {
		t.Run(name+"/before", func(t *testing.T) { crash(t, row.key, false, row.opts...) })
		t.Run(name+"/after", func(t *testing.T) { crash(t, row.key, true, row.opts...) })
	}
}

func crash(t *testing.T, key kmsg.Key, acted bool, opts ...option) {
	w := newWorld(t, 1)
	w.command(0, "c0")
	a := w.join(opts...)
	if key != kmsg.InitProducerID { // which is only asked for by the first commit
		handle(t, a, a.poll()[0])
	}
	died := make(chan struct{})
	var once atomic.Bool
	a.wire.On(key, func(kmsg.Request) logtest.Fate {
		if !once.CompareAndSwap(false, true) {
			return logtest.LosesItself
		}
		defer close(died)
		if acted {
			return logtest.CrashesAfter
		}
		return logtest.CrashesBefore
	})
	w.command(0, "c1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go commitAll(ctx, a)
	<-died
	eventually(t, "cut off", a.wire.IsCut)
	cancel()
	w.evict(a)

	b := w.worker(opts...)
	var fetches atomic.Int32
	b.wire.On(kmsg.OffsetFetch, func(req kmsg.Request) logtest.Fate {
		if g := req.(*kmsg.OffsetFetchRequest).Groups; len(g) > 0 && g[0].MemberID != nil {
			fetches.Add(1)
		}
		return logtest.Passes
	})
	begun := time.Now()
	ok(t, b.Join())
	t.Cleanup(b.leave)
	c := b.claim(0)
	t.Logf("taken over after %v, from offset %d", time.Since(begun), c.Offset().Low)
	if n := fetches.Load(); n != 1 {
		t.Errorf("the client asked for offsets %d times, with a second in between: a transaction was still open", n)
	}
	for c.Offset().Low < 2 {
		handle(t, b, b.poll()[0])
	}
	w.wantPages("c0", "c1")
}

// commitAll handles what comes until the context ends. What is polled without
// being committed is lost, as in a crash.
func commitAll(ctx context.Context, x *worker) {
	for {
		polled, err := x.Poll(ctx, 100)
		if err != nil {
			return
		}
		for _, f := range polled {
			tx := partitioning.Transaction{}
			for _, r := range f.Records {
				if f.Claim.Progress.Admit(r.Offset) {
					f.Claim.Progress.Finish(r.Offset)
					tx.Records = append(tx.Records, x.w.page(r.Partition, string(r.Value)))
				}
			}
			tx.Offsets = []partitioning.Offset{f.Claim.Offset()}
			if err := x.Commit(ctx, tx); err != nil {
				return
			}
			f.Claim.Progress.Settle()
		}
	}
}

// The transaction of a worker that is a member is not ended, whoever is assigned
// what meanwhile; TestHandover has many of them.
func TestMembersTransactionIsNotEnded(t *testing.T) {
	w := newWorld(t, 2)
	a := w.join()
	a.claim(0)
	a.claim(1)
	b := w.join()
	b.await("has its share", func() bool { return len(b.held) == 1 })
	a.await("keeps its own", func() bool { return len(a.held) == 1 })
	var kept, given *partitioning.Claim
	for p, c := range a.claims() {
		kept, given = c, b.claims()[1-p]
	}
	ended, release := a.wire.Hold(t, kmsg.EndTxn)
	done := make(chan error, 1)
	go func() { done <- a.commit(kept, "1") }()
	<-ended
	looked, goOn := a.wire.Hold(t, kmsg.OffsetFetch)
	b.Leave(t.Context())
	<-looked // for orphans, and for who is a member
	release()
	ok(t, <-done)
	goOn()
	a.claim(given.Partition)
	w.wantPages("1")
}
