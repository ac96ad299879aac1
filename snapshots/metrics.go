package snapshots

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// What a book that was not in memory turned out to be.
const (
	resultHit  = "hit"  // it was on the shelf
	resultNew  = "new"  // the shelf says that there is none
	resultTail = "tail" // it was on the shelf, but the log's end was needed too
	resultLog  = "log"  // it had to be searched for in all of the log
)

// Metrics are what shelves count. One is shared by all of a process.
type Metrics struct {
	lookups, lost, failed, dropped metric.Int64Counter
	lag, waiting                   metric.Int64Gauge
	left, whole, rate, remaining   metric.Int64Gauge // of a catch-up
}

// NewMetrics makes the instruments.
func NewMetrics(m metric.Meter) (*Metrics, error) {
	var errs []error
	counter := func(name, description string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithDescription(description))
		errs = append(errs, err)
		return c
	}
	gauge := func(name, unit, description string) metric.Int64Gauge {
		g, err := m.Int64Gauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		errs = append(errs, err)
		return g
	}
	x := &Metrics{
		lookups: counter("angzarr.shelf.lookups", "Books that were not in memory, by where they came from: hit, new, tail (hit, and the end of the log), log (all of the log was searched)."),
		lost:    counter("angzarr.shelf.lost", "Books on the shelf that were corrupt or not what they must be; they are rebuilt from the log."),
		failed:  counter("angzarr.shelf.writes.failed", "Writes to the shelf that failed; they are made again."),
		dropped: counter("angzarr.shelf.dropped", "Changes that were not kept for the shelf for want of room; they are read from the log again."),
		lag:     gauge("angzarr.shelf.lag", "{offset}", "How far a partition's shelf is behind its owner, in offsets of the log."),
		waiting: gauge("angzarr.shelf.waiting", "By", "What waits to be written to the shelf."),
		left:    gauge("angzarr.shelf.catchup", "{offset}", "What a partition's shelf still has to read of the log to catch up, in offsets."),

		whole:     gauge("angzarr.shelf.catchup.total", "{offset}", "What it had to read when it began to, 0 when it has caught up."),
		rate:      gauge("angzarr.shelf.catchup.rate", "{record}/s", "Records that it reads a second."),
		remaining: gauge("angzarr.shelf.catchup.remaining", "s", "How long it will take yet, if it goes on like that."),
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("make the shelf's metrics: %w", err)
	}
	return x, nil
}

// counts are what the shelf of one partition counts.
type counts struct {
	*Metrics
	domain, here metric.MeasurementOption
	results      map[string]metric.MeasurementOption
}

func (m *Metrics) of(domain string, partition int32) counts {
	of := attribute.String("domain", domain)
	c := counts{
		Metrics: m,
		domain:  metric.WithAttributeSet(attribute.NewSet(of)),
		here:    metric.WithAttributeSet(attribute.NewSet(of, attribute.Int("partition", int(partition)))),
		results: make(map[string]metric.MeasurementOption),
	}
	for _, result := range []string{resultHit, resultNew, resultTail, resultLog} {
		c.results[result] = metric.WithAttributeSet(attribute.NewSet(of, attribute.String("result", result)))
	}
	return c
}

func (c counts) looked(result string, books int) {
	if books > 0 {
		c.lookups.Add(context.Background(), int64(books), c.results[result])
	}
}

func (c counts) gaveUp(books int) {
	if books > 0 {
		c.lost.Add(context.Background(), int64(books), c.domain)
	}
}

func (c counts) writeFailed() { c.failed.Add(context.Background(), 1, c.domain) }

func (c counts) noRoom(changes int) {
	c.dropped.Add(context.Background(), int64(changes), c.domain)
}

func (c counts) behind(offsets, bytes int64) {
	c.lag.Record(context.Background(), offsets, c.here)
	c.waiting.Record(context.Background(), bytes)
}

// catchingUp says how far a catch-up is; all zero when it is through.
func (c counts) catchingUp(left, whole, rate int64, remaining time.Duration) {
	ctx := context.Background()
	c.left.Record(ctx, left, c.here)
	c.whole.Record(ctx, whole, c.here)
	c.rate.Record(ctx, rate, c.here)
	c.remaining.Record(ctx, int64(remaining.Seconds()), c.here)
}
