package partitioning_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// As the package's members do.
const (
	heartbeat = 300 * time.Millisecond
	session   = 6 * time.Second
)

func TestEachPartitionIsAssignedOnce(t *testing.T) {
	w := newWorld(t, 3)
	a := w.join()
	for p := range int32(3) {
		a.claim(p)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	heard := slices.Sorted(slices.Values(a.heard))
	if want := []string{"assigned 0", "assigned 1", "assigned 2"}; !slices.Equal(heard, want) {
		t.Errorf("the owner heard %q, want %q", heard, want)
	}
	for p, c := range a.held {
		if c.Ended() {
			t.Errorf("the claim on partition %d has ended", p)
		}
	}
}

// A member that is evicted while it rejoins gets a new member id, and the group
// may give it back what another has written to meanwhile. The client reports no
// loss: who believes it decides from a stale book, with a good generation.
func TestEvictedWhileRejoining(t *testing.T) {
	t.Parallel()
	t.Run("without the rule", func(t *testing.T) {
		w := newWorld(t, 1)
		x := logtest.NewWire(t, w.Cluster.Brokers[0])
		a := w.rawMember(x)
		eventually(t, "owns the partition", func() bool { return a.owns(0) })
		waits, release := x.Hold(t, kmsg.JoinGroup)
		b := w.join()
		<-waits
		w.evictMember(w.members()["raw"])
		b.mustCommit(b.claim(0), "1 by b")
		b.Leave(t.Context())
		former, _ := a.client.GroupMetadata()
		release()
		eventually(t, "has joined again", func() bool {
			member, _ := a.client.GroupMetadata()
			return member != former && w.stable()
		})
		member, generation := a.client.GroupMetadata()
		r := w.raw("r").begin().produce(0, "1 by a")
		err := r.offsets(member, generation, 0, 0, "")
		wrong(t, "the client has told of no loss, and the fence holds", a.owns(0) && err == nil && r.end() == nil)
		w.wantPages("1 by b", "1 by a")
	})
	t.Run("before the client has said anything", func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.join()
		old := a.claim(0)
		waits, release := a.wire.Hold(t, kmsg.JoinGroup)
		b := w.join()
		<-waits
		w.evict(a)
		b.mustCommit(b.claim(0), "1 by b")
		b.Leave(t.Context())
		joined, goOn := a.wire.Hold(t, kmsg.SyncGroup)
		release()
		<-joined
		if old.Ended() {
			t.Fatal("the client has said something")
		}
		if err := a.commit(old, "1 by a"); !errors.Is(err, partitioning.ErrDeposed) {
			t.Errorf("commit under the former claim: %v", err)
		}
		if err := a.Prove(t.Context(), []*partitioning.Claim{old}); !errors.Is(err, partitioning.ErrDeposed) {
			t.Errorf("a proof for the former claim: %v", err)
		}
		goOn()
		a.await("another claim", func() bool { return a.held[0] != nil && a.held[0] != old })
		w.wantPages("1 by b")
	})
	t.Run("who came meanwhile has left", func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.join()
		old := a.claim(0)
		waits, release := a.wire.Hold(t, kmsg.JoinGroup)
		b := w.join()
		<-waits
		w.evict(a)
		b.mustCommit(b.claim(0), "1 by b")
		b.Leave(t.Context())
		release()
		a.await("another claim", func() bool { return a.held[0] != nil && a.held[0] != old })
		if err := a.commit(old, "1 by a"); !errors.Is(err, partitioning.ErrDeposed) {
			t.Errorf("commit under the former claim: %v", err)
		}
		a.mustCommit(a.claim(0), "2 by a")
		w.wantPages("1 by b", "2 by a")
	})
	t.Run("who came meanwhile stays", func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.join()
		old := a.claim(0)
		late := make(chan error, 1)
		a.revoking = func(c []*partitioning.Claim) { late <- a.commit(c[0], "1 by a") }
		a.losing = func(c []*partitioning.Claim) { late <- a.commit(c[0], "1 by a") }
		waits, release := a.wire.Hold(t, kmsg.JoinGroup)
		b := w.join()
		<-waits
		w.evict(a)
		b.mustCommit(b.claim(0), "1 by b")
		release()
		a.without(0)
		if err := <-late; !errors.Is(err, partitioning.ErrDeposed) || !old.Ended() {
			t.Errorf("commit while the client gives the partition up: %v", err)
		}
		if last := a.heard[len(a.heard)-1]; last != "lost 0" {
			t.Errorf("the owner was told %q of what was gone long ago", last)
		}
		w.wantPages("1 by b")
	})
}

// A member stays one when some of its partitions go to another.
func TestRevokedClaim(t *testing.T) {
	w := newWorld(t, 2)
	a := w.join()
	claims := map[int32]*partitioning.Claim{0: a.claim(0), 1: a.claim(1)}
	b := w.join()
	b.await("has its share", func() bool { return len(b.held) == 1 })
	for p, c := range claims {
		err := a.commit(c, "by a")
		switch {
		case b.claims()[p] == nil && err != nil:
			t.Errorf("commit to a partition that a kept: %v", err)
		case b.claims()[p] != nil && !errors.Is(err, partitioning.ErrDeposed):
			t.Errorf("commit to a partition that went to b: %v", err)
		}
	}
	if err := a.Prove(t.Context(), []*partitioning.Claim{claims[0], claims[1]}); !errors.Is(err, partitioning.ErrDeposed) {
		t.Errorf("a proof for both: %v", err)
	}
	w.wantPages("by a")
}

// A rebalance may come while an assignment's offsets are fetched. The client does
// not tell of the assignment again then, but each claim begins, and once.
func TestAssignmentIsInterrupted(t *testing.T) {
	w := newWorld(t, 2)
	a := w.worker()
	fetched, goOn := a.wire.Hold(t, kmsg.OffsetFetch)
	ok(t, a.Join())
	t.Cleanup(a.leave)
	<-fetched
	b := w.join()
	eventually(t, "b is a member", func() bool { return len(w.members()) == 2 })
	goOn()
	a.await("has its share", func() bool { return len(a.held) == 1 })
	b.await("has its share", func() bool { return len(b.held) == 1 })
	for _, x := range []*worker{a, b} {
		for _, c := range x.claims() {
			x.mustCommit(c, "page")
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	begun := make(map[string]int)
	for _, heard := range a.heard {
		if begun[heard]++; begun[heard] > 1 {
			t.Errorf("the owner heard %q", a.heard)
		}
	}
	w.wantPages("page", "page")
}
