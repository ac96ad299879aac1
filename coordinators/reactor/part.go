package reactor

import (
	"context"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/coordinators/loop"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// part is a partition under one claim. The loop owns it.
type part struct {
	claim *partitioning.Claim
	ctx   context.Context // ends with the part
	end   context.CancelFunc
	shift calls.Shift

	closing bool // it is being revoked: what was reacted to still commits
	gone    bool // it was dropped
	backlog []log.Record
	paused  bool          // the backlog is to be admitted before more is read
	passed  []*log.Record // that are nobody's business, since the last commit
	lines   map[log.Root]*line
	letters letters

	// open counts the calls that are under way, and what they led to that is not
	// committed; closed are called when it gets to 0 while closing.
	open   int
	closed []func()
}

// Assigned is called by the member.
func (w *Worker) Assigned(claims []*partitioning.Claim) {
	w.loop.Do(func() {
		if w.stopping {
			return
		}
		for _, claim := range claims {
			if old := w.parts[claim.Partition]; old != nil {
				w.drop(old) // the group's session began anew before it came to reading
			}
			ctx, end := context.WithCancel(w.work)
			p := &part{claim: claim, ctx: ctx, end: end, lines: make(map[log.Root]*line), letters: newLetters()}
			w.parts[claim.Partition] = p
			w.begin(p)
		}
		w.metrics.owned(len(w.parts))
	})
}

// begin has a part be read, once it may be.
func (w *Worker) begin(p *part) {
	if w.c.Gate == nil {
		w.read(p)
		return
	}
	w.loop.Aside(func() func() {
		may := w.c.Gate(p.ctx)
		return func() {
			if may && !p.gone && !p.closing {
				w.read(p)
			}
		}
	})
}

func (w *Worker) read(p *part) {
	p.letters.open = true
	w.member.Resume(p.claim.Partition)
}

// Revoked is called by the member before it gives partitions up. Calls that are
// under way may take a second more, what was reacted to is committed; the rest
// is left to the next owner.
func (w *Worker) Revoked(claims []*partitioning.Claim) {
	done := make(chan struct{})
	begun := w.loop.Do(func() {
		left := 1
		closed := func() {
			if left--; left == 0 {
				close(done)
			}
		}
		for _, p := range w.of(claims) {
			left++
			p.closing, p.closed = true, append(p.closed, closed)
			w.leaveWaiting(p)
			w.settleClosing(p)
		}
		closed()
		w.step()
	})
	if begun && !loop.Drain(done, w.revokeTimeout, func() { w.loop.Do(func() { w.endCalls(claims) }) }) {
		w.log.Warn("gave partitions up with a commit under way", "partitions", len(claims))
	}
	w.Lost(claims)
}

// of gives the parts that these claims are of.
func (w *Worker) of(claims []*partitioning.Claim) (parts []*part) {
	for _, claim := range claims {
		if p := w.parts[claim.Partition]; p != nil && p.claim == claim {
			parts = append(parts, p)
		}
	}
	return parts
}

func (w *Worker) endCalls(claims []*partitioning.Claim) {
	for _, p := range w.of(claims) {
		p.end()
	}
}

// Lost is called by the member when partitions are gone.
func (w *Worker) Lost(claims []*partitioning.Claim) {
	w.loop.Call(func() {
		for _, p := range w.of(claims) {
			w.drop(p)
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

// leaveWaiting gives up what was not called yet.
func (w *Worker) leaveWaiting(p *part) {
	p.backlog = nil
	for _, l := range p.lines {
		if !l.calling {
			w.forget(l.queue)
			l.queue = nil
		}
	}
	toCall := w.toCall
	w.toCall = nil
	for _, l := range toCall {
		if l.part != p {
			w.toCall = append(w.toCall, l)
		}
	}
}

// forget lets go of pages, which somebody else calls.
func (w *Worker) forget(events []*event) {
	for _, e := range events {
		w.held -= e.size
	}
}

// drop forgets a part. What of it is being committed is judged by the commit;
// all else is left to the next owner.
func (w *Worker) drop(p *part) {
	p.closing, p.gone = true, true
	p.end()
	w.leaveWaiting(p)
	kept := w.ready[:0]
	for _, r := range w.ready {
		if r.part == p {
			w.forget(r.events)
			continue
		}
		kept = append(kept, r)
	}
	clear(w.ready[len(kept):])
	w.ready = kept
	delete(w.parts, p.claim.Partition)
	p.tellClosed()
}
