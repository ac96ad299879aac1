package takeover

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/bench/usage"
)

// full gives a domain whose shelf is complete.
func (w *world) full(ctx context.Context, d **domain, what string, aggregates int) (*domain, error) {
	made := *d != nil
	filled, err := w.filled(ctx, d, what, aggregates)
	if err == nil && !made {
		_, _, err = w.build(ctx, filled)
	}
	return filled, err
}

// largeOne is the domain with all the aggregates.
func (w *world) largeOne(ctx context.Context) (*domain, error) {
	return w.full(ctx, &w.large, "large", w.Aggregates)
}

func (w *world) smallOne(ctx context.Context) (*domain, error) {
	return w.full(ctx, &w.small, "small", w.Aggregates/100)
}

func (w *world) tinyOne(ctx context.Context) (*domain, error) {
	return w.full(ctx, &w.tiny, "tiny", max(100, w.Aggregates/1000))
}

// build has one process make the shelf of a domain from its log. It gives how
// long after the process was up each partition answered, and what the process
// took of the machine until then.
func (w *world) build(ctx context.Context, d *domain) (ready times, took usage.Usage, err error) {
	p, err := w.newProcess(d, setting{redis: true})
	if err != nil {
		return nil, took, err
	}
	defer p.end()
	if err = p.start(ctx); err == nil {
		ready, err = d.eachReady(ctx, p)
	}
	if err != nil {
		return nil, took, err
	}
	return ready, p.usage(), p.term(ctx)
}

// rebuild measures a shelf that is made from the log, against the two bare runs
// of what it is made of.
func (w *world) rebuild(ctx context.Context) error {
	d, err := w.filled(ctx, &w.large, "large", w.Aggregates)
	if err != nil {
		return err
	}
	if err := w.forget(ctx, shelfKeys(d)); err != nil {
		return err
	}
	before, busy := w.memory(ctx), w.processor(ctx)
	ready, process, err := w.build(ctx, d)
	if err != nil {
		return err
	}
	stored, busied := w.memory(ctx)-before, w.processor(ctx)-busy
	scans, err := w.repeat(func() (time.Duration, error) { return w.bareScan(ctx, d) })
	if err != nil {
		return err
	}
	entries, err := w.copyShelf(ctx, d)
	if err != nil {
		return err
	}
	writes, err := w.repeat(func() (time.Duration, error) { return w.bareWrite(ctx, d, entries) })
	if err != nil {
		return err
	}
	const section = "rebuild"
	took := ready.worst()
	w.report.note(section, fmt.Sprintf("%d aggregates without a mark: the first and the last partition answer after", d.aggregates),
		fmt.Sprintf("%s, %s (%.0f pages/s)", seconds(slices.Min(ready)), seconds(took), float64(d.ledger.filled)/took.Seconds()))
	w.report.note(section, "the process took meanwhile, and Redis", fmt.Sprintf("%s of CPU and at most %.0f MiB, %.2f s of CPU", seconds(process.CPU), usage.MiB(process.Peak), busied))
	w.report.note(section, "bare: scan of the topic", scans.between())
	w.report.note(section, "bare: pipelined write of the same books", writes.between())
	w.report.ratio(section, "rebuild / slower bare run", took.Seconds()/max(scans.p50(), writes.p50()).Seconds(), 2)
	if stored > 0 {
		w.report.note(section, "Redis takes for an aggregate", fmt.Sprintf("%.0f bytes", stored/float64(d.aggregates)))
	}
	return nil
}

// repeat times something as often as asked for.
func (w *world) repeat(run func() (time.Duration, error)) (all times, err error) {
	for range w.Repeats {
		took, err := run()
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return all, nil
}
