package reactor

import (
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
	"google.golang.org/grpc/status"
)

// line is the queue of one root's pages. Those that are being called stay at its
// head until the service has reacted to them.
type line struct {
	part  *part
	root  log.Root
	queue []*event

	grown   bool // pages were added, and it is about to be advanced
	calling bool // its first pages are being called
	waiting bool // it waits for its turn, or for its next try

	alone    int // how many of its pages go one by one, after they failed together
	attempts int // calls in vain that count, of its first page
	vain     int // calls in vain in a row, all of them
}

// mostTogether bounds the bytes of the pages that go into one call.
const mostTogether = 1 << 20

// advance has the line's first pages called, now or when it is its turn.
func (w *Worker) advance(l *line) {
	if l.calling || l.waiting {
		return
	}
	if l.part.closing {
		w.forget(l.queue)
		l.queue = nil
	}
	for len(l.queue) > 0 && (l.queue[0].erased || l.queue[0].given) {
		if l.queue[0].erased {
			w.erase(l)
			continue
		}
		w.giveUp(l)
	}
	if len(l.queue) == 0 {
		if l.part.lines[l.root] == l {
			delete(l.part.lines, l.root)
		}
		return
	}
	l.waiting = true
	if l.queue[0].replay != nil && w.uncommitted(l) {
		w.later(l.part.ctx, calls.RetryAfter(0), func() {
			l.waiting = false
			w.advance(l)
		})
		return
	}
	w.toCall = append(w.toCall, l)
	w.callMore()
}

// erase reacts to the erasure at the head of the line: all pages before it are done
// with.
func (w *Worker) erase(l *line) {
	event := l.queue[:1:1]
	w.leave(l, event)
	l.part.open++
	w.react(&reaction{part: l.part, events: event, records: w.eraser.Erased(l.root)})
}

// callMore makes the calls that may be made now.
func (w *Worker) callMore() {
	now := time.Now()
	n := 0
	for ; n < len(w.toCall) && w.asking.May(now); n++ {
		w.call(w.toCall[n], now)
	}
	clear(w.toCall[:n])
	if w.toCall = w.toCall[n:]; len(w.toCall) == 0 {
		w.toCall = nil
	} else {
		w.wakeAfter(calls.SlowAfter)
	}
}

// next gives the pages that go into the line's next call.
func (l *line) next(together int) []*event {
	if l.alone > 0 || l.queue[0].replay != nil {
		together = 1
	}
	n, size := 1, l.queue[0].size
	for n < len(l.queue) && n < together && !l.queue[n].erased && l.queue[n].replay == nil && size+l.queue[n].size <= mostTogether {
		size += l.queue[n].size
		n++
	}
	return l.queue[:n:n]
}

func (w *Worker) call(l *line, now time.Time) {
	l.waiting, l.calling = false, true
	p := l.part
	p.open++
	events := l.next(w.c.Service.Together())
	run := Run{Domain: w.c.Domain.Name, Root: l.root, Pages: make([]log.Page, len(events)), Replayed: events[0].replay != nil}
	for i, e := range events {
		run.Pages[i] = e.page
	}
	asked := w.asking.Ask(now)
	ctx := p.shift.Join(p.ctx, now, w.timeout)
	w.loop.AsideOn(w.askers.Do, func() func() {
		records, failure := w.c.Service.Call(ctx, run)
		return func() {
			w.asking.Answered(asked, time.Now())
			w.answered(l, events, records, failure)
			w.callMore()
			w.step()
		}
	})
}

// answered takes in what became of a call.
func (w *Worker) answered(l *line, events []*event, records []log.Record, failure *Failure) {
	p := l.part
	l.calling = false
	switch {
	case p.gone, failure != nil && p.closing:
		w.forget(l.queue)
		l.queue = nil
		w.done(p)
	case failure == nil:
		w.metrics.called(len(events))
		w.leave(l, events)
		w.react(&reaction{part: p, events: events, records: records})
	default:
		w.failed(l, events, failure)
	}
	w.advance(l)
}

// leave takes pages off the head of their line.
func (w *Worker) leave(l *line, events []*event) {
	l.queue = l.queue[len(events):]
	l.alone = max(0, l.alone-len(events))
	l.attempts, l.vain = 0, 0
}

// failed decides what becomes of pages that were called in vain.
func (w *Worker) failed(l *line, events []*event, f *Failure) {
	l.vain++
	w.metrics.failed(f.Status.Code())
	if f.Fate != Waits && len(events) > 1 {
		// One of them is to blame, and the others need not go with it.
		l.alone = len(events)
		w.done(l.part)
		return
	}
	if f.Fate != Waits {
		l.attempts++
	}
	replayed := events[0].replay != nil && l.attempts > 0 // one attempt more, and no others
	if f.Fate == Ends || l.attempts >= w.c.Attempts || replayed {
		attempts := l.attempts
		w.leave(l, events)
		w.log.Error("an event became a dead letter", "root", l.root, "sequence", events[0].page.Sequence, "attempts", attempts, "error", f.Status.Message())
		w.die(l.part, events[0], f.Status, attempts)
		return
	}
	if l.vain == 1 || l.vain%30 == 0 {
		w.log.Warn("the service did not react; trying again", "root", l.root, "sequence", events[0].page.Sequence,
			"attempts", l.vain, "code", f.Status.Code(), "error", f.Status.Message())
	}
	l.waiting = true
	w.done(l.part)
	w.later(l.part.ctx, calls.RetryAfter(l.vain), func() {
		l.waiting = false
		w.advance(l)
	})
}

// die makes a dead letter of a page.
func (w *Worker) die(p *part, e *event, why *status.Status, attempts int) {
	w.react(&reaction{part: p, events: []*event{e}, dead: why, attempts: attempts})
}
