package business

import (
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
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
	if p.inLoad {
		return
	}
	p.inLoad = true
	w.loop.Do(func() { w.loadCold(p) }) // after what else arrived with it
}

func (w *Worker) loadCold(p *part) {
	cold := p.cold
	p.cold = nil
	if len(cold) == 0 || p.closing {
		p.inLoad = false
		return
	}
	w.loop.Aside(func() func() {
		w.loadBooks(p, cold)
		return func() {
			for _, l := range cold {
				l.cold = false
				w.advance(l)
			}
			w.loadCold(p)
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
