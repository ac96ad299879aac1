package partitioning_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

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
		x := newWire(t, w.Cluster.Brokers[0])
		a := w.rawMember(x)
		eventually(t, "owns the partition", func() bool { return a.owns(0) })
		waits, release := holding(x, kmsg.JoinGroup)
		b := w.join()
		<-waits
		w.evictMember(w.members()["raw"])
		ok(t, b.commit(b.claim(0), "1 by b"))
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
	t.Run("who came meanwhile has left", func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.join()
		old := a.claim(0)
		waits, release := holding(a.wire, kmsg.JoinGroup)
		b := w.join()
		<-waits
		w.evict(a)
		ok(t, b.commit(b.claim(0), "1 by b"))
		b.Leave(t.Context())
		release()
		a.await("another claim", func() bool { return a.held[0] != nil && a.held[0] != old })
		if err := a.commit(old, "1 by a"); !errors.Is(err, partitioning.ErrDeposed) {
			t.Errorf("commit under the former claim: %v", err)
		}
		ok(t, a.commit(a.claim(0), "2 by a"))
		w.wantPages("1 by b", "2 by a")
	})
	t.Run("who came meanwhile stays", func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.join()
		old := a.claim(0)
		late := make(chan error, 1)
		a.revoking = func(c []*partitioning.Claim) { late <- a.commit(c[0], "1 by a") }
		a.losing = func(c []*partitioning.Claim) { late <- a.commit(c[0], "1 by a") }
		waits, release := holding(a.wire, kmsg.JoinGroup)
		b := w.join()
		<-waits
		w.evict(a)
		ok(t, b.commit(b.claim(0), "1 by b"))
		release()
		a.without(0)
		if err := <-late; !errors.Is(err, partitioning.ErrDeposed) || !old.Ended() {
			t.Errorf("commit while the client gives the partition up: %v", err)
		}
		w.wantPages("1 by b")
	})
}
