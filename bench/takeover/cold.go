package takeover

import (
	"context"
	"fmt"
	"time"
)

// eachReady gives how long after a process was up each partition answered.
func (d *domain) eachReady(ctx context.Context, p *process) (ready times, err error) {
	return d.probe(ctx, p.up, d.all(), p)
}

// coldStart starts a process, and gives how long after its start, and after it was up,
// the last partition answered.
func (w *world) coldStart(ctx context.Context, d *domain) (started, up time.Duration, err error) {
	p, err := w.newProcess(d, setting{redis: true})
	if err != nil {
		return 0, 0, err
	}
	defer p.end()
	begun := time.Now()
	if err := p.start(ctx); err != nil {
		return 0, 0, err
	}
	ready, err := d.eachReady(ctx, p)
	if err != nil {
		return 0, 0, err
	}
	return p.up.Sub(begun) + ready.worst(), ready.worst(), p.term(ctx)
}

// cold compares cold starts with full shelves of different sizes.
func (w *world) cold(ctx context.Context) error {
	large, err := w.largeOne(ctx)
	if err != nil {
		return err
	}
	small, err := w.smallOne(ctx)
	if err != nil {
		return err
	}
	var started, up [2]times
	for n := range w.Repeats {
		for i, d := range []*domain{small, large} {
			took, since, err := w.coldStart(ctx, d)
			if err != nil {
				return err
			}
			w.Log.Info("cold start", "number", n+1, "aggregates", d.aggregates, "took", took.Round(time.Millisecond))
			started[i], up[i] = append(started[i], took), append(up[i], since)
		}
	}
	const section = "cold"
	for i, d := range []*domain{small, large} {
		w.report.note(section, fmt.Sprintf("%d aggregates: the last partition answers after the start", d.aggregates), started[i].between())
		w.report.note(section, "and after the process is up", up[i].between())
	}
	w.report.ratio(section, "large / small, after the start", started[1].p50().Seconds()/started[0].p50().Seconds(), 1.5)
	return nil
}
