package partitioning_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// versions runs a test with the transactions of clusters of today, and with
// those of older ones.
func versions(t *testing.T, test func(t *testing.T, w *world, opts ...option)) {
	t.Run("transaction version 2", func(t *testing.T) { test(t, newWorld(t, 2)) })
	t.Run("transaction version 1", func(t *testing.T) { test(t, newWorld(t, 2), oldTransactions) })
}

func TestCommit(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, w *world, opts ...option) {
		w.command(0, "c0", "c1")
		a := w.join(opts...)
		c := a.claim(0)
		for _, f := range a.poll() {
			for _, r := range f.Records {
				f.Claim.Progress.Admit(r.Offset)
			}
		}
		c.Progress.Finish(1)
		tx := partitioning.Transaction{
			Records: []log.Record{w.page(0, "1"), w.page(1, "2"), w.page(0, "3")},
			Offsets: []partitioning.Offset{c.Offset(), a.claim(1).Offset()},
		}
		ok(t, a.Commit(t.Context(), tx))
		for i, want := range []int64{0, 0, 1} {
			if got := tx.Records[i].Offset; got != want {
				t.Errorf("record %d stands at %d, want %d", i, got, want)
			}
		}
		w.wantPages("1", "3", "2")
		if low, metadata := w.committed(0); low != 0 || metadata == "" {
			t.Errorf("partition 0: committed %d %q", low, metadata)
		}
		if low, metadata := w.committed(1); low != 0 || metadata != "" {
			t.Errorf("partition 1: committed %d %q", low, metadata)
		}
	})
}

// Nothing but the group knows that a worker was deposed: it goes on as before.
func TestTwoOwners(t *testing.T) {
	t.Parallel()
	t.Run("without the rule", func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.raw("a") // the owner until now, which nobody has told
		b := w.join()
		b.mustCommit(b.claim(0), "1 by b")
		ok(t, a.begin().produce(0, "1 by a").offsets("", -1, 0, 1, ""))
		wrong(t, "no member commits", a.end() == nil)
		w.wantPages("1 by b", "1 by a")
	})
	deposed := func(t *testing.T, w *world, depose func(a *worker)) {
		a := w.join()
		mine := a.claim(0)
		a.mustCommit(mine, "1 by a")
		if err := a.Prove(t.Context(), []*partitioning.Claim{mine}); err != nil {
			t.Errorf("the owner is not proved: %v", err)
		}
		// a hears nothing of it, and does not come back before the end.
		held, hear := a.wire.Hold(t, kmsg.Heartbeat)
		a.wire.Hold(t, kmsg.JoinGroup)
		<-held
		depose(a)
		b := w.join()
		taken := b.claim(0)
		err := a.commit(mine, "2 by a")
		if !errors.Is(err, partitioning.ErrNotCommitted) || !errors.Is(err, partitioning.ErrDeposed) {
			t.Errorf("commit of a deposed owner: %v", err)
		}
		hear()
		if err := a.Prove(t.Context(), []*partitioning.Claim{mine}); !errors.Is(err, partitioning.ErrDeposed) {
			t.Errorf("a deposed owner is proved: %v", err)
		}
		b.mustCommit(taken, "2 by b")
		w.wantPages("1 by a", "2 by b")
	}
	t.Run("evicted", func(t *testing.T) {
		w := newWorld(t, 1)
		deposed(t, w, w.evict)
	})
	t.Run("not heard of for a session", func(t *testing.T) {
		w := newWorld(t, 1)
		deposed(t, w, func(*worker) {
			eventually(t, "out of the group", func() bool { return len(w.members()) == 0 })
		})
	})
}

// Sent beside the produce, the offsets prove nothing: they are accepted, the
// group moves on, the next owner reads up to the high watermark, and then the
// pages appear behind it.
func TestOffsetsAfterProduce(t *testing.T) {
	t.Parallel()
	t.Run("without the rule", func(t *testing.T) {
		w := newWorld(t, 1)
		x := logtest.NewWire(t, w.Cluster.Brokers[0])
		m := w.rawMember(x)
		eventually(t, "owns the partition", func() bool { return m.owns(0) && w.stable() })
		member, generation := m.client.GroupMetadata()
		a := w.raw("a").begin()
		ok(t, a.offsets(member, generation, 0, 0, ""))
		w.evictMember(member)
		x.Cut()
		ends, err := log.HighWatermarks(t.Context(), w.client, w.events)
		ok(t, err)
		a.produce(0, "1 by a")
		wrong(t, "a page stands past what the next owner reads", a.end() == nil && ends[0] == 0)
		w.wantPages("1 by a")
	})
	t.Run("held", func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.join()
		mine := a.claim(0)
		producing, release := a.wire.Hold(t, kmsg.Produce)
		a.wire.Hold(t, kmsg.JoinGroup) // b comes first
		done := make(chan error, 1)
		go func() { done <- a.commit(mine, "1 by a") }()
		<-producing
		w.evict(a)
		b := w.join()
		taken := b.claim(0)
		release()
		if err := <-done; !errors.Is(err, partitioning.ErrNotCommitted) {
			t.Errorf("commit of which the produce came late: %v", err)
		}
		b.mustCommit(taken, "1 by b")
		w.wantPages("1 by b")
	})
}

// A record that was polled before a partition was lost, and is handled once it
// came back, may have been handled by another owner in between.
func TestRecordsOfALostClaim(t *testing.T) {
	w := newWorld(t, 1)
	w.command(0, "c0")
	a := w.join()
	first := a.claim(0)
	polled := a.poll()[0]
	waits, release := a.wire.Hold(t, kmsg.JoinGroup) // a hears of what happens only later
	w.evict(a)
	b := w.join()
	handle(t, b, b.poll()[0])
	b.Leave(t.Context())
	<-waits
	release()
	a.await("another claim", func() bool { return a.held[0] != nil && a.held[0] != first })

	if polled.Claim != first {
		t.Fatal("polled under another claim than the first")
	}
	polled.Claim.Progress.Admit(0)
	polled.Claim.Progress.Finish(0)
	if err := a.commit(polled.Claim, "c0"); !errors.Is(err, partitioning.ErrDeposed) {
		t.Errorf("commit under the lost claim: %v", err)
	}
	if second := a.claim(0); second.Progress.Admit(0) {
		t.Error("the second claim admits what was handled under another one's")
	}
	w.wantPages("c0")

	// Without the rule: it is asked whether the partition is owned, and it is.
	a.mustCommit(a.claim(0), "c0")
	w.wantPages("c0", "c0")
}

// handle commits a page for each of the records.
func handle(t testing.TB, x *worker, f partitioning.Fetched) {
	t.Helper()
	var pages []string
	for _, r := range f.Records {
		if f.Claim.Progress.Admit(r.Offset) {
			f.Claim.Progress.Finish(r.Offset)
			pages = append(pages, string(r.Value))
		}
	}
	x.mustCommit(f.Claim, pages...)
	f.Claim.Progress.Settle()
}

// The client commits what is left of a transaction of which a part could not be
// produced.
func TestOneOfTwoIsNotProduced(t *testing.T) {
	w := newWorld(t, 1)
	small := "100"
	_, err := w.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &small}}, log.OutcomesTopic(w.domain.Name))
	ok(t, err)
	large := log.Record{Topic: log.OutcomesTopic(w.domain.Name), Value: []byte(strings.Repeat("x", 1000))}

	r := w.raw("raw", kgo.ProducerBatchCompression(kgo.NoCompression())).begin().produce(0, "half of it")
	r.client.Produce(t.Context(), large.ToClient(), nil)
	ok(t, r.client.Flush(t.Context()))
	wrong(t, "a half is committed", r.end() == nil)
	w.wantPages("half of it")

	a := w.join()
	tx := partitioning.Transaction{
		Records: []log.Record{w.page(0, "another half"), large},
		Offsets: []partitioning.Offset{a.claim(0).Offset()},
	}
	err = a.Commit(t.Context(), tx)
	if !errors.Is(err, partitioning.ErrNotCommitted) || !errors.Is(err, partitioning.ErrTooLarge) {
		t.Errorf("commit with a record that is too large: %v", err)
	}
	w.wantNothingOpen()
	a.mustCommit(a.claim(0), "whole")
	w.wantPages("half of it", "whole")
}

// A broker refuses metadata that is too long for its partition alone, and has
// the rest of the transaction committed.
func TestMetadataOverItsLimit(t *testing.T) {
	w := newWorld(t, 1)
	long := strings.Repeat("x", 4097)
	if w.Fake != nil {
		w.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Topic: w.commands, Err: kerr.OffsetMetadataTooLarge, Count: -1,
			When: func(req kmsg.Request) bool {
				return len(*req.(*kmsg.TxnOffsetCommitRequest).Topics[0].Partitions[0].Metadata) > 4096
			}})
	}
	a := w.join()
	c := a.claim(0)
	_, generation := member(w, a)
	r := w.raw("raw").begin().produce(0, "without its offset")
	err := r.offsets(w.members()[a.id.Incarnation], generation, 0, 5, long)
	wrong(t, "refused, and the rest is committed", errors.Is(err, kerr.OffsetMetadataTooLarge) && r.end() == nil)
	if low, _ := w.committed(0); low != 0 {
		t.Errorf("committed %d", low)
	}

	tx := partitioning.Transaction{Records: []log.Record{w.page(0, "x")}, Offsets: []partitioning.Offset{c.Offset()}}
	tx.Offsets[0].Metadata = long
	if err := a.Commit(t.Context(), tx); !errors.Is(err, partitioning.ErrNotCommitted) {
		t.Errorf("commit with metadata of %d bytes: %v", len(long), err)
	}
	w.wantNothingOpen()
	a.mustCommit(c, "with its offset")
	w.wantPages("without its offset", "with its offset")
}

// member asks the broker for a worker's id and generation.
func member(w *world, x *worker) (id string, generation int32) {
	w.t.Helper()
	id = w.members()[x.id.Incarnation]
	for generation = range int32(1000) {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = w.group, id, generation
		resp, err := req.RequestWith(w.t.Context(), w.client)
		ok(w.t, err)
		if kerr.ErrorForCode(resp.ErrorCode) == nil {
			return id, generation
		}
	}
	w.t.Fatalf("no generation of %s is good", id)
	return "", -1
}

// A claim's own partitions, and no others: the broker accepts offsets for
// partitions that a member doesn't own, so their owner would be rewound.
func TestOnlyItsOwnOffsets(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.join(), w.join()
	a.await("one each", func() bool { return len(a.held) == 1 })
	b.await("one each", func() bool { return len(b.held) == 1 })
	foreign := int32(0)
	for p := range b.claims() {
		foreign = p
	}
	id, generation := member(w, a)
	r := w.raw("raw").begin().produce(0, "x")
	err := r.offsets(id, generation, foreign, 77, "")
	wrong(t, "an offset of a partition of another owner is accepted", err == nil && r.end() == nil)
	eventually(t, "rewound", func() bool { at, _ := w.committed(foreign); return at == 77 })

	for _, c := range a.claims() {
		a.mustCommit(c, "y")
	}
	if at, _ := w.committed(foreign); at != 77 {
		t.Errorf("a commit of a moved the offset of b's partition to %d", at)
	}
}

// A produce without an answer ends with the commit's time, and nothing of it
// comes back in the next transaction.
func TestProduceWithoutAnswer(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join()
	c := a.claim(0)
	a.mustCommit(c, "1")
	a.wire.Hold(t, kmsg.Produce)
	begun := time.Now()
	if err := a.commitWithin(300*time.Millisecond, c, "never"); !errors.Is(err, partitioning.ErrNotCommitted) {
		t.Errorf("commit without an answer: %v", err)
	}
	t.Logf("given up after %v", time.Since(begun))
	w.wantNothingOpen()
	w.wantPages("1")
}

// What a caller gives up is not committed, and its records keep no offsets.
func TestCommitGivenUp(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join()
	c := a.claim(0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tx := partitioning.Transaction{Records: []log.Record{w.page(0, "never")}, Offsets: []partitioning.Offset{c.Offset()}}
	if err := a.Commit(ctx, tx); !errors.Is(err, partitioning.ErrNotCommitted) {
		t.Errorf("commit whose context has ended: %v", err)
	}
	a.mustCommit(c, "1")
	w.wantPages("1")
	if all := logtest.ReadUncommitted(t, w.Cluster, w.events); len(all) > 2 {
		t.Errorf("the log holds %q", values(all))
	}
}
