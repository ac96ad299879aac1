package business

import (
	"context"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

// part is a partition under one claim. The loop owns it.
type part struct {
	claim *partitioning.Claim
	ctx   context.Context // ends with the part
	end   context.CancelFunc

	ready   bool       // its books are folded to the high watermark
	closing bool       // it is being revoked: what is decided still commits
	gone    bool       // it was dropped
	early   []*command // calls that came before it was ready
	backlog []log.Record
	paused  bool // the backlog is to be admitted before more is read

	lines  map[log.Root]*line
	cold   []*line // lines that wait for their books
	inLoad bool

	// open counts what is being decided, or decided and not committed; closed
	// is called when it gets to 0 while closing.
	open   int
	closed func()
}

// line is the queue of one root's commands.
type line struct {
	part  *part
	root  log.Root
	queue []*command
	busy  bool            // its first command is being decided or committed
	book  *snapshots.Book // held while there are commands
}

// Assigned is called by the member: it takes the partitions over, which means to
// fold their books from the log up to the high watermark.
func (w *Worker) Assigned(claims []*partitioning.Claim) {
	w.loop.do(func() {
		taken := make(map[int32]*part, len(claims))
		for _, claim := range claims {
			if old := w.parts[claim.Partition]; old != nil {
				w.drop(old) // the group's session began anew before it came to reading
			}
			ctx, end := context.WithCancel(context.Background())
			p := &part{claim: claim, ctx: ctx, end: end, lines: make(map[log.Root]*line), paused: true}
			w.parts[claim.Partition] = p
			taken[claim.Partition] = p
		}
		w.metrics.owned(w.domain.Name, len(w.parts))
		for _, p := range taken {
			go w.takeOver(p, time.Now())
		}
	})
}

// takeOver makes a partition ready. It tries for as long as the claim lasts.
func (w *Worker) takeOver(p *part, begun time.Time) {
	partition := p.claim.Partition
	records := 0
	for attempt := 0; p.ctx.Err() == nil; attempt++ {
		err := w.restore(p, func(n int) { records = n })
		if err == nil {
			break
		}
		if p.ctx.Err() == nil {
			w.log.Warn("a takeover is tried again", "partition", partition, "error", err)
			wait(p.ctx, retryAfter(attempt))
		}
	}
	w.loop.do(func() {
		if p.ctx.Err() != nil || p.closing {
			return
		}
		took := time.Since(begun)
		w.metrics.tookOver(w.domain.Name, took)
		w.log.Info("took over a partition", "partition", partition, "records", records, "took", took.Round(time.Millisecond))
		p.ready = true
		early := p.early
		p.early = nil
		for _, c := range early {
			w.enqueue(c)
		}
		w.admit(p)
	})
}

// restore captures the high watermark and folds up to it. Bounded by the last
// stable offset it would miss pages whose transaction is about to be committed.
func (w *Worker) restore(p *part, progress func(int)) error {
	partition := p.claim.Partition
	topic := log.EventsTopic(w.domain.Name)
	ends, err := w.member.HighWatermarks(p.ctx, topic)
	if err != nil {
		return err
	}
	return w.books.Restore(p.ctx, w.read, map[int32]int64{partition: ends[partition]}, progress)
}

// read reads the domain's events.
func (w *Worker) read(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
	return w.cluster.Scan(ctx, log.EventsTopic(w.domain.Name), spans, fn)
}

const (
	// revokeTimeout bounds how long a rebalance waits for what is under way.
	revokeTimeout = 8 * time.Second
	// lastCalls is how long business logic may still take to answer by then.
	lastCalls = time.Second
)

// Revoked is called by the member before it gives partitions up. What business
// logic is deciding may take a second more, what is decided is committed; the
// rest is left to the next owner.
func (w *Worker) Revoked(claims []*partitioning.Claim) {
	done := make(chan struct{})
	ok := w.loop.do(func() {
		left := 0
		closed := func() {
			if left--; left == 0 {
				close(done)
			}
		}
		var closing []*part
		for _, claim := range claims {
			if p := w.parts[claim.Partition]; p != nil && p.claim == claim {
				left++
				p.closing, p.closed = true, closed
				w.leaveWaiting(p)
				closing = append(closing, p)
			}
		}
		if left == 0 {
			close(done)
			return
		}
		for _, p := range closing {
			w.settleClosing(p)
		}
		w.step()
	})
	if ok {
		timeout := time.NewTimer(revokeTimeout)
		defer timeout.Stop()
		calls := time.NewTimer(lastCalls)
		defer calls.Stop()
	drain:
		for {
			select {
			case <-done:
				break drain
			case <-calls.C:
				w.loop.do(func() { w.cancelCalls(claims) })
			case <-timeout.C:
				w.log.Warn("gave partitions up with a commit under way", "partitions", len(claims))
				break drain
			}
		}
	}
	w.Lost(claims)
}

// cancelCalls ends the calls of business logic for these claims.
func (w *Worker) cancelCalls(claims []*partitioning.Claim) {
	for _, claim := range claims {
		if p := w.parts[claim.Partition]; p != nil && p.claim == claim {
			p.end()
		}
	}
}

// Lost is called by the member when partitions are gone.
func (w *Worker) Lost(claims []*partitioning.Claim) {
	w.loop.call(func() {
		for _, claim := range claims {
			if p := w.parts[claim.Partition]; p != nil && p.claim == claim {
				w.drop(p)
			}
		}
		w.metrics.owned(w.domain.Name, len(w.parts))
	})
}

// settleClosing tells whoever waits for a closing part that nothing of it is
// under way any more.
func (w *Worker) settleClosing(p *part) {
	if p.closing && p.open == 0 && p.closed != nil {
		closed := p.closed
		p.closed = nil
		closed()
	}
}

// leaveWaiting gives back all of the part that is not under way.
func (w *Worker) leaveWaiting(p *part) {
	for _, c := range p.early {
		w.finish(c, nil, ErrNotOwner)
	}
	p.early, p.backlog = nil, nil
	for root, l := range p.lines {
		first := 0
		if l.busy {
			first = 1
		}
		for _, c := range l.queue[first:] {
			w.finish(c, nil, ErrNotOwner)
		}
		l.queue = l.queue[:first]
		if first == 0 {
			w.close(l, root)
		}
	}
}

// drop forgets a part. What of it is being committed is judged by the commit;
// all else is left to the next owner.
func (w *Worker) drop(p *part) {
	p.end()
	p.closing, p.gone = true, true
	w.leaveWaiting(p)
	w.decided = w.without(w.decided, p)
	w.unproved = w.without(w.unproved, p)
	for root, l := range p.lines {
		w.close(l, root)
	}
	w.books.Drop(p.claim.Partition)
	delete(w.parts, p.claim.Partition)
	if p.closed != nil {
		closed := p.closed
		p.closed = nil
		closed()
	}
}

// without takes a part's decisions out, telling their callers.
func (w *Worker) without(decisions []*decision, p *part) []*decision {
	kept := decisions[:0]
	for _, d := range decisions {
		if d.part == p {
			w.finish(d.command, nil, ErrNotOwner)
			continue
		}
		kept = append(kept, d)
	}
	clear(decisions[len(kept):])
	return kept
}

// close gives a line's book back.
func (w *Worker) close(l *line, root log.Root) {
	if l.book != nil {
		w.books.Release(l.book)
		l.book = nil
	}
	if l.part.lines[root] == l {
		delete(l.part.lines, root)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
