package business

import (
	"time"

	"github.com/angzarr/angzarr-kafka/partitioning"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// called takes in a call.
func (w *Worker) called(c *command) {
	p := w.parts[partitioning.Of(c.root, w.domain.Partitions)]
	switch {
	case p == nil || p.closing:
		c.reply(nil, ErrNotOwner)
		return
	case w.waiting >= w.limits.waiting:
		c.reply(nil, status.Errorf(codes.ResourceExhausted,
			"%d commands of domain %s are waiting in this process, which is all that limits.waiting allows", w.waiting, w.domain.Name))
		return
	}
	c.part = p
	w.waiting++
	if !p.ready {
		p.early = append(p.early, c)
		return
	}
	w.enqueue(c)
	w.step()
}

// polled takes in records.
func (w *Worker) polled(fetched []partitioning.Fetched) {
	for _, f := range fetched {
		p := w.parts[f.Claim.Partition]
		if p == nil || p.claim != f.Claim || p.closing {
			continue // polled under a claim that has ended: another owner's now
		}
		if len(p.backlog) == 0 {
			p.backlog = f.Records
		} else {
			p.backlog = append(p.backlog, f.Records...)
		}
		w.admit(p)
	}
	w.step()
}

// A partition is not read while more than pauseAt of its records wait, until
// they are resumeAt: what the client has fetched ahead by then is fetched again.
const pauseAt, resumeAt = 512, 64

// admit lets in as many of a part's records as may wait, and reads on or stops
// reading accordingly.
func (w *Worker) admit(p *part) {
	if !p.ready || p.closing {
		return
	}
	n := 0
	for ; n < len(p.backlog) && !p.claim.Progress.Full() && w.waiting < w.limits.waiting; n++ {
		r := &p.backlog[n]
		if !p.claim.Progress.Admit(r.Offset) {
			continue // finished by an earlier owner
		}
		w.waiting++
		c, st := read(w.domain.Name, r)
		c.part, c.arrived = p, time.Now()
		if c.replay != nil && c.replay.letter.Source.Partition >= w.domain.Partitions {
			c.replay = nil // of no letter that could be there
		}
		switch {
		case st != nil:
			w.ready(&decision{command: c, refused: st, dead: true})
		case partitioning.Of(c.root, w.domain.Partitions) != p.claim.Partition:
			w.ready(&decision{command: c, forward: true})
		default:
			w.enqueue(c)
		}
	}
	if p.backlog = p.backlog[n:]; len(p.backlog) == 0 {
		p.backlog = nil
	}
	switch waiting := len(p.backlog); {
	case waiting > pauseAt && !p.paused:
		p.paused = true
		w.member.Pause(p.claim.Partition)
	case waiting <= resumeAt && p.paused:
		p.paused = false
		w.member.Resume(p.claim.Partition)
	}
	w.countHeld()
}

// countHeld counts the parts of which reading waits for what was read.
func (w *Worker) countHeld() {
	held := 0
	for _, p := range w.parts {
		if p.ready && p.backlog != nil {
			held++
		}
	}
	if held != w.held {
		w.held = held
		w.metrics.paused(held)
	}
}

// readOn admits what had to wait, where there is room again: commands of other
// partitions may have made it.
func (w *Worker) readOn() {
	if w.held == 0 || w.waiting >= w.limits.waiting {
		return
	}
	for _, p := range w.parts {
		if p.backlog != nil && !p.claim.Progress.Full() {
			w.admit(p)
		}
	}
}
