package reactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"
)

// Metrics are what workers count. One is shared by all workers of a process.
type Metrics struct {
	events, failures, deadLetters, aborts metric.Int64Counter
	latency, commit                       metric.Float64Histogram
	together                              metric.Int64Histogram
	partitions                            metric.Int64Gauge
	lag                                   metric.Float64Gauge
}

// NewMetrics makes the instruments.
func NewMetrics(m metric.Meter) (*Metrics, error) {
	var x Metrics
	var failed [9]error
	seconds := metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60)
	x.events, failed[0] = m.Int64Counter("angzarr.reactions.events", metric.WithDescription("Events to which a projector or saga has reacted, and that is committed."))
	x.failures, failed[1] = m.Int64Counter("angzarr.reactions.failures", metric.WithDescription("Calls of projectors and sagas that failed, by gRPC code. Each is made again, or its event becomes a dead letter."))
	x.deadLetters, failed[2] = m.Int64Counter("angzarr.reactions.dead_letters", metric.WithDescription("Events that became dead letters of a projector or saga."))
	x.aborts, failed[3] = m.Int64Counter("angzarr.reactions.aborted", metric.WithDescription("Transactions of projectors and sagas that were not committed."))
	x.latency, failed[4] = m.Float64Histogram("angzarr.reactions.duration", metric.WithUnit("s"), metric.WithDescription("From an event's record until the reaction to it is committed."), seconds)
	x.commit, failed[5] = m.Float64Histogram("angzarr.reactions.commit.duration", metric.WithUnit("s"), metric.WithDescription("One transaction of a projector or saga."), seconds)
	x.together, failed[6] = m.Int64Histogram("angzarr.reactions.together", metric.WithUnit("{event}"), metric.WithDescription("Events a call."),
		metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128))
	x.partitions, failed[7] = m.Int64Gauge("angzarr.reactions.partitions", metric.WithDescription("Partitions from which this process serves a projector or saga."))
	x.lag, failed[8] = m.Float64Gauge("angzarr.reactions.lag", metric.WithUnit("s"), metric.WithDescription("Age of the oldest event that was read and is not finished; 0 if there is none."))
	if err := errors.Join(failed[:]...); err != nil {
		return nil, fmt.Errorf("make the metrics of projectors and sagas: %w", err)
	}
	return &x, nil
}

// counts are what one worker counts, with its attributes made once.
type counts struct {
	*Metrics
	attributes []attribute.KeyValue
	plain      metric.MeasurementOption
}

func (m *Metrics) of(service, domain string) counts {
	all := []attribute.KeyValue{attribute.String("service", service), attribute.String("domain", domain)}
	return counts{m, all, metric.WithAttributeSet(attribute.NewSet(all...))}
}

func (c *counts) called(events int) { c.together.Record(context.Background(), int64(events), c.plain) }

func (c *counts) failed(code codes.Code) {
	with := append(c.attributes[:len(c.attributes):len(c.attributes)], attribute.String("code", code.String()))
	c.failures.Add(context.Background(), 1, metric.WithAttributeSet(attribute.NewSet(with...)))
}

func (c *counts) aborted() { c.aborts.Add(context.Background(), 1, c.plain) }

func (c *counts) owned(n int) { c.partitions.Record(context.Background(), int64(n), c.plain) }

func (c *counts) committed(batch []*reaction, took time.Duration) {
	now := time.Now()
	c.commit.Record(context.Background(), took.Seconds(), c.plain)
	alive, dead := 0, 0
	for _, r := range batch {
		if r.passed {
			continue
		}
		if r.dead != nil {
			dead += len(r.events)
			continue
		}
		alive += len(r.events)
		for _, e := range r.events {
			c.latency.Record(context.Background(), now.Sub(e.record.Time).Seconds(), c.plain)
		}
	}
	c.events.Add(context.Background(), int64(alive), c.plain)
	if dead > 0 {
		c.deadLetters.Add(context.Background(), int64(dead), c.plain)
	}
}

// measureEvery is how often the lag is measured.
const measureEvery = 5 * time.Second

// measure measures the lag, now and from time to time.
func (w *Worker) measure() {
	if w.work.Err() != nil {
		return
	}
	oldest := time.Time{}
	see := func(events []*event) {
		if len(events) > 0 && (oldest.IsZero() || events[0].record.Time.Before(oldest)) {
			oldest = events[0].record.Time
		}
	}
	for _, p := range w.parts {
		for _, l := range p.lines {
			see(l.queue)
		}
	}
	for _, r := range w.ready {
		see(r.events)
	}
	for _, r := range w.committing {
		see(r.events)
	}
	lag := time.Duration(0)
	if !oldest.IsZero() {
		lag = time.Since(oldest)
	}
	w.metrics.lag.Record(context.Background(), lag.Seconds(), w.metrics.plain)
	w.later(w.work, measureEvery, w.measure)
}
