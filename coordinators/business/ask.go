package business

import (
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// question is a line's first command, about which business logic is to be asked.
type question struct {
	line    *line
	command *command
}

// ask has business logic decide on a line's first command, now or as soon as
// not too much is asked at the same time.
func (w *Worker) ask(l *line, c *command) {
	w.toAsk = append(w.toAsk, question{l, c})
	w.askMore()
}

// askMore asks what may be asked now.
func (w *Worker) askMore() {
	now := time.Now()
	n := 0
	for ; n < len(w.toAsk) && w.asking.May(now); n++ {
		w.call(w.toAsk[n].line, w.toAsk[n].command, now)
	}
	clear(w.toAsk[:n])
	if w.toAsk = w.toAsk[n:]; len(w.toAsk) == 0 {
		w.toAsk = nil
	} else {
		w.wakeAfter(calls.SlowAfter)
	}
}

// endCalls ends the calls of business logic for a part, and asks no more.
func (w *Worker) endCalls(p *part) {
	p.end()
	for _, l := range p.lines {
		if l.hangUp != nil {
			l.hangUp()
		}
	}
	asking := w.toAsk
	w.toAsk = nil
	for _, q := range asking {
		if q.line.part != p {
			w.toAsk = append(w.toAsk, q)
			continue
		}
		w.abandon(q.line, q.command)
	}
}

// call calls business logic.
func (w *Worker) call(l *line, c *command, now time.Time) {
	request := contextual(w.cover, l.book, c)
	last := l.book.Last()
	c.attempts++
	asked := w.asking.Ask(now)
	ctx, hangUp := w.calling(c, now)
	l.hangUp = hangUp
	w.loop.AsideOn(w.askers.Do, func() func() {
		begun := time.Now()
		answered, st := w.logic.ask(ctx, c.cause.Traceparent, request)
		if hangUp != nil {
			hangUp()
		}
		w.metrics.stage(stageLogic, time.Since(begun))
		d := &decision{command: c, line: l}
		if st == nil {
			w.take(d, answered, last)
		}
		return func() {
			l.hangUp = nil
			w.asking.Answered(asked, time.Now())
			if st != nil {
				w.failed(d, st)
			} else {
				w.decideOn(d)
			}
			w.askMore()
			w.step()
		}
	})
}

// take makes pages of an answer. It is not called on the loop.
func (w *Worker) take(d *decision, answered *angzarr.EventBook, last uint32) {
	d.pages, d.snapshot, d.refused = number(w.domain.Name, d.command, answered, last, time.Now(), w.limits)
	d.dead = d.refused != nil
	if d.refused == nil && d.snapshot == nil && answered.Snapshot != nil {
		w.log.Warn("a snapshot was left out: it covers no page, or its topic has no room for it",
			"root", d.root, "bytes", proto.Size(answered.Snapshot))
	}
}

// failed decides what becomes of a command that business logic did not accept.
func (w *Worker) failed(d *decision, st *status.Status) {
	if err := d.ended(st); err != nil {
		d.refused = d.late(err) // nobody waits any more
		w.decideOn(d)
		return
	}
	fate := fateOf(st)
	if fate == retry {
		if w.again(d.line, d.command, st) {
			return
		}
		st = d.unavailable.Load()
	}
	d.refused = st
	// A plain error or exception may be a refusal, or a bug: somebody looks.
	d.dead = fate == broken || st.Code() == codes.Unknown
	w.decideOn(d)
}

// again asks business logic once more after a pause. It gives up shortly before
// the caller does, so that the caller hears why.
func (w *Worker) again(l *line, c *command, st *status.Status) bool {
	c.unavailable.Store(status.Newf(codes.Unavailable, "business logic of domain %s can't be reached, or is overloaded: %s", w.domain.Name, st.Message()))
	pause := calls.RetryAfter(c.attempts)
	if at, bounded := c.ctx.Deadline(); bounded {
		left := time.Until(at) - notice
		if left <= 0 {
			return false
		}
		pause = min(pause, left)
	}
	if c.attempts == 1 || c.attempts%30 == 0 {
		w.log.Warn("business logic can't be reached, or is overloaded; trying again", "root", l.root, "attempts", c.attempts, "error", st.Message())
	}
	w.metrics.retried()
	w.pause(l, c, pause, func() { w.ask(l, c) })
	return true
}
