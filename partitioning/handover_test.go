package partitioning_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// pump is a worker that commits one page for each command: the next number of
// its partition. Some commands take longer than those behind them.
type pump struct {
	*worker
	committed *atomic.Int64 // commands, of all pumps
	ended     chan struct{}
	stop      context.CancelFunc

	mu    sync.Mutex // held while it commits
	parts map[*partitioning.Claim]*pumped
	errs  []error
}

// pumped is what a pump knows of a claim's partition.
type pumped struct {
	last int     // number of the last page
	open []int64 // commands that were admitted and are not committed
}

func (w *world) pump(committed *atomic.Int64, opts ...option) *pump {
	x := w.worker(append(opts, notReading)...)
	ctx, stop := context.WithCancel(context.Background())
	p := &pump{worker: x, committed: committed, ended: make(chan struct{}), stop: stop, parts: make(map[*partitioning.Claim]*pumped)}
	x.revoking, x.losing = p.forget, p.forget
	ok(w.t, x.Join())
	go func() {
		defer close(p.ended)
		p.run(ctx)
	}()
	return p
}

// forget waits for the commit that is under way.
func (p *pump) forget(claims []*partitioning.Claim) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range claims {
		delete(p.parts, c)
	}
}

func (p *pump) run(ctx context.Context) {
	for ctx.Err() == nil {
		p.takeOver(ctx)
		if p.full() {
			p.mu.Lock()
			p.commitSome(ctx)
			p.mu.Unlock()
			continue
		}
		wait, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		polled, err := p.Poll(wait, 1+rand.IntN(50))
		cancel()
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			return
		}
		p.mu.Lock()
		for _, f := range polled {
			part := p.parts[f.Claim]
			if part == nil {
				continue
			}
			for _, r := range f.Records {
				if f.Claim.Progress.Admit(r.Offset) {
					part.open = append(part.open, r.Offset)
				}
			}
		}
		p.commitSome(ctx)
		p.mu.Unlock()
	}
}

// full says that a partition has as many unfinished commands as it may, less
// those of a poll.
func (p *pump) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, part := range p.parts {
		if len(part.open) > 70 && !c.Ended() {
			return true
		}
	}
	return false
}

// takeOver counts the pages of new claims' partitions, and begins to read.
func (p *pump) takeOver(ctx context.Context) {
	for _, c := range p.new() {
		ends, err := p.HighWatermarks(ctx, p.w.events)
		last := 0
		if err == nil {
			err = p.w.Cluster.Scan(ctx, p.w.events, map[int32]log.Span{c.Partition: {To: ends[c.Partition]}},
				func(*log.Record) error { last++; return nil })
		}
		if err != nil {
			continue
		}
		p.mu.Lock()
		if !c.Ended() {
			p.parts[c] = &pumped{last: last}
			p.Resume(c.Partition)
		}
		p.mu.Unlock()
	}
}

func (p *pump) new() (claims []*partitioning.Claim) {
	p.worker.mu.Lock()
	defer p.worker.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.held {
		if p.parts[c] == nil {
			claims = append(claims, c)
		}
	}
	return claims
}

func (p *pump) commitSome(ctx context.Context) {
	var tx partitioning.Transaction
	done := make(map[*partitioning.Claim][]int64)
	for c, part := range p.parts {
		if c.Ended() {
			continue // it is about to be forgotten
		}
		for _, at := range part.open {
			if rand.IntN(3) > 0 && (at != part.open[0] || rand.IntN(4) == 0) {
				done[c] = append(done[c], at)
				page := fmt.Sprintf("%d of %d", part.last+len(done[c]), at)
				tx.Records = append(tx.Records, p.w.page(c.Partition, page))
				c.Progress.Finish(at)
			}
		}
		if len(done[c]) > 0 {
			tx.Offsets = append(tx.Offsets, c.Offset())
		}
	}
	if len(tx.Records) == 0 {
		return
	}
	err := p.Commit(ctx, tx)
	if err != nil {
		p.errs = append(p.errs, err)
	}
	for c, offsets := range done {
		part := p.parts[c]
		switch {
		case err == nil:
			part.last += len(offsets)
			part.open = slices.DeleteFunc(part.open, func(at int64) bool { return slices.Contains(offsets, at) })
			c.Progress.Settle()
			p.committed.Add(int64(len(offsets)))
		case errors.Is(err, partitioning.ErrNotCommitted) && !c.Ended():
			for _, at := range offsets {
				c.Progress.Undo(at)
			}
		}
	}
}

// leave stops once everything has been given up in order.
func (p *pump) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	p.Leave(ctx)
	p.stop()
	<-p.ended
}

// Members come, go, die and are evicted under load. In the committed view every
// command was handled once, and every page has the next number.
func TestHandover(t *testing.T) {
	w := newWorld(t, 4)
	var committed, sent atomic.Int64
	stopFeeding := w.feeding(&sent, &committed)
	atWork := func(n int64) { // and with something new each time
		until := committed.Load() + n
		eventually(t, "commands are handled", func() bool { return committed.Load() >= until })
	}

	begun := time.Now()
	a, b := w.pump(&committed), w.pump(&committed)
	pumps := []*pump{a, b}
	settled := func() {
		eventually(t, "all partitions are owned", func() bool {
			n := 0
			for _, p := range pumps {
				p.worker.mu.Lock()
				n += len(p.held)
				p.worker.mu.Unlock()
			}
			return n == 4
		})
	}
	for range 2 {
		settled()
		atWork(50)
		c, d := w.pump(&committed), w.pump(&committed)
		pumps = append(pumps, c, d)
		eventually(t, "c and d have joined", func() bool { return len(w.members()) == 4 && w.stable() })
		atWork(100)
		c.leave()
		atWork(50)
		settled()
		w.evict(b.worker) // which is alive, and comes back
		atWork(50)
		eventually(t, "b is back", func() bool { return len(w.members()) == 3 && w.stable() })
		d.crash()
		pumps = []*pump{a, b}
		d.stop()
		settled()
	}
	atWork(50)
	stopFeeding()
	allHandled(t, w)
	a.leave()
	b.leave()
	verify(t, w, sent.Load())
	for _, err := range a.errs { // it was a member all the time
		if !errors.Is(err, partitioning.ErrNotCommitted) || errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) {
			t.Errorf("a commit of a member: %v", err)
		}
	}
	t.Logf("%d commands in %v; refused commits: %d of a, %d of b, which was evicted", sent.Load(), time.Since(begun), len(a.errs), len(b.errs))
}

// Leaders and coordinators move from broker to broker all the time.
func TestBrokersMove(t *testing.T) {
	w := newWorld(t, 4, kfake.NumBrokers(3))
	var committed, sent atomic.Int64
	stopFeeding := w.feeding(&sent, &committed)
	a, b := w.pump(&committed, direct), w.pump(&committed, direct)
	for i := range 15 {
		until := committed.Load() + 20
		eventually(t, "commands are handled", func() bool { return committed.Load() >= until })
		w.Fake.ShufflePartitionLeaders()
		w.Fake.RehashCoordinators()
		if i%5 == 4 {
			// A takeover besides, from a group at rest: the embedded broker never
			// answers one who is taken out while it joins.
			eventually(t, "the group is at rest", func() bool { return w.members()[b.id.Incarnation] != "" && w.stable() })
			w.evict(b.worker)
		}
	}
	stopFeeding()
	allHandled(t, w)
	a.leave()
	b.leave()
	verify(t, w, sent.Load())
	t.Logf("%d commands; refused commits: %d", sent.Load(), len(a.errs)+len(b.errs))
}

// allHandled waits until the group has committed the ends of all partitions.
// Who has died may have committed more than it could count.
func allHandled(t *testing.T, w *world) {
	t.Helper()
	ends, err := log.HighWatermarks(t.Context(), w.client, w.commands)
	ok(t, err)
	eventually(t, "all commands are handled", func() bool {
		for p, end := range ends {
			if low, _ := w.committed(p); low != end {
				return false
			}
		}
		return true
	})
}

// feeding feeds until it is stopped.
func (w *world) feeding(sent, committed *atomic.Int64) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		feed(ctx, w, sent, committed)
	}()
	return func() { cancel(); <-fed }
}

// feed sends commands for as long as the context lasts, a few ahead of what is
// handled.
func feed(ctx context.Context, w *world, sent, committed *atomic.Int64) {
	for ctx.Err() == nil {
		var records []*kgo.Record
		for p := range int32(4) {
			for range rand.IntN(20) {
				records = append(records, &kgo.Record{Topic: w.commands, Partition: p, Value: []byte("c")})
			}
		}
		if err := w.client.ProduceSync(context.WithoutCancel(ctx), records...).FirstErr(); err != nil {
			w.t.Error(err)
			return
		}
		sent.Add(int64(len(records)))
		for sent.Load() > committed.Load()+300 && ctx.Err() == nil {
			wait, cancel := context.WithTimeout(ctx, 2*time.Millisecond)
			<-wait.Done()
			cancel()
		}
	}
}

func verify(t *testing.T, w *world, sent int64) {
	t.Helper()
	last, handled := make(map[int32]int), make(map[string]bool)
	for _, r := range logtest.ReadCommitted(t, w.Cluster, w.events) {
		var number int
		var of int64
		if _, err := fmt.Sscanf(string(r.Value), "%d of %d", &number, &of); err != nil {
			t.Fatal(err)
		}
		if number != last[r.Partition]+1 {
			t.Errorf("partition %d: page %d follows page %d", r.Partition, number, last[r.Partition])
		}
		last[r.Partition] = number
		command := fmt.Sprint(r.Partition, "/", of)
		if handled[command] {
			t.Errorf("command %s was handled twice", command)
		}
		handled[command] = true
	}
	if int64(len(handled)) != sent {
		t.Errorf("%d of %d commands were handled", len(handled), sent)
	}
}
