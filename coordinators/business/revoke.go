package business

import (
	"github.com/angzarr/angzarr-kafka/coordinators/loop"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// Revoked is called by the member before it gives partitions up. What business
// logic is deciding may take a second more, what is decided is committed; the
// rest is left to the next owner.
func (w *Worker) Revoked(claims []*partitioning.Claim) {
	done := make(chan struct{})
	ok := w.loop.Do(func() {
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
				p.closing, p.closed = true, append(p.closed, closed)
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
		if !loop.Drain(done, w.revokeTimeout, func() { w.loop.Do(func() { w.cancelCalls(claims) }) }) {
			w.log.Warn("gave partitions up with a commit under way", "partitions", len(claims))
		}
		w.flush(claims)
	}
	w.Lost(claims)
}

// flush leaves the next owners a shelf that is complete.
func (w *Worker) flush(claims []*partitioning.Claim) {
	partitions := make([]int32, len(claims))
	for i, claim := range claims {
		partitions[i] = claim.Partition
	}
	w.books.Flush(w.work, partitions)
}

// cancelCalls ends the calls of business logic for these claims.
func (w *Worker) cancelCalls(claims []*partitioning.Claim) {
	for _, claim := range claims {
		if p := w.parts[claim.Partition]; p != nil && p.claim == claim {
			w.endCalls(p)
		}
	}
}

// Lost is called by the member when partitions are gone.
func (w *Worker) Lost(claims []*partitioning.Claim) {
	w.loop.Call(func() {
		for _, claim := range claims {
			if p := w.parts[claim.Partition]; p != nil && p.claim == claim {
				w.drop(p)
			}
		}
		w.metrics.owned(len(w.parts))
		w.step()
	})
}

// done says that one thing less of the part is under way.
func (w *Worker) done(p *part) {
	p.open--
	w.settleClosing(p)
}

// settleClosing tells whoever waits for a closing part that nothing of it is
// under way any more.
func (w *Worker) settleClosing(p *part) {
	if p.closing && p.open == 0 {
		p.tellClosed()
	}
}

func (p *part) tellClosed() {
	closed := p.closed
	p.closed = nil
	for _, tell := range closed {
		tell()
	}
}

// leaveWaiting gives back all of the part that is not under way.
func (w *Worker) leaveWaiting(p *part) {
	for _, c := range p.early {
		w.finish(c, nil, ErrNotOwner)
	}
	p.early, p.backlog = nil, nil
	for _, l := range p.lines {
		first := 0
		if l.busy {
			first = 1
		}
		for _, c := range l.queue[first:] {
			w.finish(c, nil, ErrNotOwner)
		}
		l.queue = l.queue[:first]
		if first == 0 {
			w.close(l)
		}
	}
}

// drop forgets a part. What of it is being committed is judged by the commit;
// all else is left to the next owner.
func (w *Worker) drop(p *part) {
	p.closing, p.gone = true, true
	w.endCalls(p)
	w.leaveWaiting(p)
	w.decided = w.without(w.decided, p)
	w.unproved = w.without(w.unproved, p)
	for _, l := range p.lines {
		w.close(l)
	}
	w.books.Drop(p.claim.Partition)
	delete(w.parts, p.claim.Partition)
	w.countHeld()
	p.tellClosed()
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
