package partitioning_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Who is told to stop while the group waits for another member can't wait for
// that one too.
func TestLeaveWhileJoining(t *testing.T) {
	w := newWorld(t, 4)
	// One that never lets a rebalance begin, and lives on.
	stuck := w.Client(t, kgo.ConsumerGroup(w.group), kgo.ConsumeTopics(w.commands),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.BlockRebalanceOnPoll(),
		kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(6*time.Second), kgo.RebalanceTimeout(30*time.Second))
	t.Cleanup(stuck.AllowRebalance)
	w.command(0, "one")
	stuck.PollFetches(t.Context())

	x := w.worker()
	ok(t, x.Join())
	eventually(t, "the worker waits to join", func() bool { return len(w.members()) == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	begun := time.Now()
	x.Leave(ctx)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
