package partitioning_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// Whatever is paused and resumed, and however few records a poll takes, each
// partition's come in order, none is left out and none comes twice.
func TestPauseAndResume(t *testing.T) {
	const partitions, each = 3, 2000
	w := newWorld(t, partitions)
	a := w.join()
	for p := range int32(partitions) {
		a.claim(p)
	}
	feeding, switching := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(feeding)
		for n := 0; n < each; n += 20 {
			for p := range int32(partitions) {
				w.command(p, slices.Repeat([]string{"c"}, 20)...)
			}
		}
	}()
	var read atomic.Int64
	go func() {
		defer close(switching)
		for read.Load() < partitions*each {
			p := rand.Int32N(partitions)
			a.Pause(p)
			if rand.IntN(2) == 0 {
				a.Pause(rand.Int32N(partitions))
			}
			until := read.Load() + rand.Int64N(20)
			for n := 0; read.Load() < until && n < 100; n++ {
				runtime.Gosched()
			}
			a.Resume(0, 1, 2)
		}
	}()
	var next [partitions]int64
	for read.Load() < partitions*each {
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		polled, err := a.Poll(ctx, 1+rand.IntN(30))
		cancel()
		ok(t, err)
		for _, f := range polled {
			for _, r := range f.Records {
				if r.Offset != next[r.Partition] {
					t.Fatalf("partition %d: offset %d comes after %d", r.Partition, r.Offset, next[r.Partition]-1)
				}
				next[r.Partition]++
				read.Add(1)
			}
		}
	}
	<-feeding
	<-switching
}

// lateContext has ended, but only for who asks after a poll.
type lateContext struct{ context.Context }

func (lateContext) Done() <-chan struct{} { return nil }
func (lateContext) Err() error            { return context.Canceled }

// Records that a poll took as its context ended would not come again.
func TestPollKeepsWhatItTook(t *testing.T) {
	w := newWorld(t, 1)
	w.command(0, "c0")
	a := w.join()
	polled, err := a.Poll(lateContext{t.Context()}, 10)
	if err != nil || len(polled) != 1 {
		t.Errorf("polled %d partitions, %v", len(polled), err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Poll(ended, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("a poll whose context has ended: %v", err)
	}
}

// A command that is not committed, as a saga's is while its transaction is open,
// is none.
func TestUncommittedCommands(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join()
	saga := w.raw("saga")
	for page, end := range map[string]kgo.TransactionEndTry{"never": kgo.TryAbort, "c0": kgo.TryCommit} {
		ok(t, saga.client.BeginTransaction())
		ok(t, saga.client.ProduceSync(t.Context(), &kgo.Record{Topic: w.commands, Value: []byte(page)}).FirstErr())
		ok(t, log.Enter(t.Context(), saga.client, w.commands, 0))
		ok(t, saga.client.EndTransaction(t.Context(), end))
	}
	w.command(0, "c1")
	if got := fmt.Sprint(handled(a, "c1")); got != "[c0 c1]" {
		t.Errorf("handled %v", got)
	}
}

// A poll that waits for records holds up neither a rebalance nor the member's
// leaving, and ends with it.
func TestPollThatWaits(t *testing.T) {
	w := newWorld(t, 2)
	a := w.join()
	a.claim(0)
	a.claim(1)
	polled := make(chan error, 1)
	go func() {
		_, err := a.Poll(context.Background(), 10)
		polled <- err
	}()
	b := w.join()
	b.await("has its share", func() bool { return len(b.held) == 1 })
	a.Leave(t.Context())
	b.await("has all", func() bool { return len(b.held) == 2 })
	if err := <-polled; !errors.Is(err, kgo.ErrClientClosed) {
		t.Errorf("the poll that waited: %v", err)
	}
}

// Partitions are not read before they are resumed, and a Resume that comes too
// late, when another claim is about to begin, does not count.
func TestNothingIsReadBeforeResume(t *testing.T) {
	w := newWorld(t, 1)
	w.command(0, "c0")
	a := w.join(notReading)
	first := a.claim(0)
	fetched, goOn := a.wire.Hold(t, kmsg.OffsetFetch)
	a.losing = func([]*partitioning.Claim) { a.Resume(0) }
	w.evict(a)
	a.without(0)
	<-fetched
	a.Resume(0)
	goOn()
	a.await("another claim", func() bool { return a.held[0] != nil && a.held[0] != first })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		if polled, _ := a.Poll(ctx, 10); len(polled) > 0 {
			t.Errorf("polled %d records that nobody asked for", len(polled[0].Records))
		}
	}
	a.Resume(0)
	if got := fmt.Sprint(handled(a, "c0")); got != "[c0]" {
		t.Errorf("handled %v", got)
	}
}

// The owner may take its time to let go: what is decided is still committed, when
// another member joins, and when its own leaves, even after more than a session.
func TestSlowDrain(t *testing.T) {
	t.Parallel()
	slow := func(a *worker, takes time.Duration) chan error {
		done := make(chan error, 1)
		a.revoking = func(claims []*partitioning.Claim) {
			<-time.After(takes)
			done <- a.commit(claims[0], "late")
		}
		return done
	}
	t.Run("leaving", func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.join()
		a.claim(0)
		done := slow(a, session+time.Second)
		b := w.join()
		a.leave()
		ok(t, <-done)
		if c := b.claim(0); c.Ended() {
			t.Error("b's claim has ended")
		}
		w.wantPages("late")
	})
	t.Run("rebalancing", func(t *testing.T) {
		w := newWorld(t, 2)
		a := w.join()
		a.claim(0)
		a.claim(1)
		done := slow(a, 3*heartbeat)
		b := w.join()
		ok(t, <-done)
		b.await("has its share", func() bool { return len(b.held) == 1 })
		a.revoking = nil
		w.wantPages("late")
	})
}

// Bounded by the last stable offset, a takeover stops before what is open then,
// and is committed a moment later.
func TestTakeoverReadsToTheHighWatermark(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join()
	former := w.raw("former").begin().produce(0, "1")
	stable, err := log.StableOffsets(t.Context(), w.client, w.events)
	ok(t, err)
	ends, err := a.HighWatermarks(t.Context(), w.events)
	ok(t, err)
	fold := func(to int64) (pages []string, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		defer cancel()
		err = w.Cluster.Scan(ctx, w.events, map[int32]log.Span{0: {To: to}}, func(r *log.Record) error {
			pages = append(pages, string(r.Value))
			return nil
		})
		return pages, err
	}
	whole := make(chan []string, 1)
	go func() {
		pages, err := fold(ends[0])
		if err != nil {
			t.Error(err)
		}
		whole <- pages
	}()
	short, err := fold(stable[0])
	ok(t, err)
	ok(t, former.end())
	wrong(t, "the last stable offset misses a page", len(short) == 0)
	if pages := <-whole; !slices.Equal(pages, []string{"1"}) {
		t.Errorf("up to the high watermark: %q", pages)
	}
}
