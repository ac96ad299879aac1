package business

import (
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
)

const (
	// gatherCold is about how long a look for books waits for others, and fewWaiting
	// are so few commands that no others are to be expected. Callers that got their
	// answers from one transaction come back at almost the same time, and a look
	// costs nearly the same for many books as for one.
	gatherCold = 500 * time.Microsecond
	fewWaiting = 4
)

// load has the books loaded that lines of a part wait for, all that are missing
// in one pass.
func (w *Worker) load(l *line) {
	p := l.part
	if l.cold {
		return
	}
	l.cold = true
	p.cold = append(p.cold, l)
	if !p.inLoad {
		w.gather(p)
	}
}

// gather has a part's books loaded together with those of others.
func (w *Worker) gather(p *part) {
	p.inLoad = true
	w.cold = append(w.cold, p)
	switch {
	case len(w.cold) > 1: // on its way
	case w.waiting <= fewWaiting:
		w.loop.Do(w.loadGathered) // after what else arrived with it
	default:
		w.later(w.work, gatherCold, w.loadGathered)
	}
}

func (w *Worker) loadGathered() {
	parts := w.cold
	w.cold = nil
	for _, p := range parts {
		w.loadCold(p)
	}
}

func (w *Worker) loadCold(p *part) {
	cold := p.cold
	p.cold = nil
	if p.closing {
		p.inLoad = false
		return
	}
	w.loop.AsideOn(w.askers.Do, func() func() {
		w.loadBooks(p, cold)
		return func() {
			for _, l := range cold {
				l.cold = false
				w.advance(l)
			}
			if p.inLoad = false; len(p.cold) > 0 {
				w.gather(p) // for those that came meanwhile
			}
			w.step()
		}
	})
}

// loadBooks loads the books of lines, which ask again for those that failed.
func (w *Worker) loadBooks(p *part, cold []*line) {
	begun := time.Now()
	roots := make([]log.Root, len(cold))
	for i, l := range cold {
		roots[i] = l.root
	}
	switch err := w.books.Load(p.ctx, w.read, w.end(p), p.claim.Partition, roots); {
	case err == nil:
		w.metrics.loaded(len(roots), time.Since(begun))
	case p.ctx.Err() == nil:
		w.log.Warn("books could not be read back; trying again", "partition", p.claim.Partition, "books", len(roots), "error", err)
		calls.Wait(p.ctx, calls.RetryAfter(3))
	}
}
