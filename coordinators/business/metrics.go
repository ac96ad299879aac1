package business

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/partitioning"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The stages of which the latency is measured, each from where it begins.
const (
	stageDecide stage = iota // from arrival to the decision, waiting included
	stageLogic               // one call of business logic
	stageCommit              // one transaction
	stageTotal               // from arrival to the answer
	stages
)

type stage int

func (s stage) String() string { return [stages]string{"decide", "logic", "commit", "total"}[s] }

// Metrics are what workers count. One is shared by all workers of a process.
type Metrics struct {
	commands, aborts, retries, loads    metric.Int64Counter
	latency, takeover, batches, loading metric.Float64Histogram
	partitions, pauses                  metric.Int64Gauge
}

// NewMetrics makes the instruments.
func NewMetrics(m metric.Meter) (*Metrics, error) {
	var failed []error
	counter := func(name, description string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithDescription(description))
		failed = append(failed, err)
		return c
	}
	gauge := func(name, description string) metric.Int64Gauge {
		g, err := m.Int64Gauge(name, metric.WithDescription(description))
		failed = append(failed, err)
		return g
	}
	histogram := func(name, unit, description string, bounds ...float64) metric.Float64Histogram {
		h, err := m.Float64Histogram(name, metric.WithUnit(unit), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(bounds...))
		failed = append(failed, err)
		return h
	}
	seconds := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	x := &Metrics{
		commands:   counter("angzarr.commands", "Commands by outcome, a gRPC code."),
		aborts:     counter("angzarr.transactions.aborted", "Transactions that were not committed, by reason."),
		retries:    counter("angzarr.logic.retries", "Calls of business logic that were made again after it was unavailable or overloaded."),
		loads:      counter("angzarr.books.loaded", "Books that were read back from the log after they had to leave memory."),
		latency:    histogram("angzarr.command.duration", "s", "Latency by stage.", seconds...),
		takeover:   histogram("angzarr.takeover.duration", "s", "From a partition's assignment until it takes commands.", seconds...),
		loading:    histogram("angzarr.books.load.duration", "s", "Reading books back from the log.", seconds...),
		batches:    histogram("angzarr.transaction.commands", "{command}", "Commands a transaction.", 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
		partitions: gauge("angzarr.partitions.owned", "Partitions that this process owns."),
		pauses:     gauge("angzarr.partitions.paused", "Owned partitions of which reading waits for commands that were read."),
	}
	if err := errors.Join(failed...); err != nil {
		return nil, fmt.Errorf("make the workers' metrics: %w", err)
	}
	return x, nil
}

// counts are what the workers of one domain count, with their attributes made
// once: they are recorded several times a command.
type counts struct {
	*Metrics
	domain   string
	plain    metric.MeasurementOption
	ok       []metric.AddOption
	ofStages [stages][]metric.RecordOption
}

func (m *Metrics) of(domain string) counts {
	c := counts{Metrics: m, domain: domain}
	c.plain = metric.WithAttributeSet(attribute.NewSet(attribute.String("domain", domain)))
	c.ok = []metric.AddOption{c.with("outcome", codes.OK.String())}
	for s := range stages {
		c.ofStages[s] = []metric.RecordOption{c.with("stage", s.String())}
	}
	return c
}

func (c *counts) with(key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("domain", c.domain), attribute.String(key, value)))
}

func (c *counts) finished(took time.Duration, err error) {
	outcome := c.ok
	switch {
	case errors.Is(err, ErrNotOwner):
		outcome = []metric.AddOption{c.with("outcome", "not owner")}
	case err != nil:
		outcome = []metric.AddOption{c.with("outcome", status.Code(err).String())}
	}
	c.commands.Add(context.Background(), 1, outcome...)
	c.stage(stageTotal, took)
}

func (c *counts) stage(s stage, took time.Duration) {
	c.latency.Record(context.Background(), took.Seconds(), c.ofStages[s]...)
}

func (c *counts) batch(commands int) {
	c.batches.Record(context.Background(), float64(commands), c.plain)
}

func (c *counts) aborted(reason string) {
	c.aborts.Add(context.Background(), 1, c.with("reason", reason))
}

func (c *counts) retried() { c.retries.Add(context.Background(), 1, c.plain) }

func (c *counts) owned(n int) { c.partitions.Record(context.Background(), int64(n), c.plain) }

func (c *counts) paused(n int) { c.pauses.Record(context.Background(), int64(n), c.plain) }

func (c *counts) tookOver(took time.Duration) {
	c.takeover.Record(context.Background(), took.Seconds(), c.plain)
}

func (c *counts) loaded(books int, took time.Duration) {
	c.loads.Add(context.Background(), int64(books), c.plain)
	c.loading.Record(context.Background(), took.Seconds(), c.plain)
}

// reasonOf names why a transaction was not committed.
func reasonOf(err error) string {
	switch {
	case errors.Is(err, partitioning.ErrDeposed):
		return "deposed"
	case errors.Is(err, partitioning.ErrTooLarge):
		return "too large"
	case errors.Is(err, partitioning.ErrOutcomeUnknown):
		return "unknown"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "broker"
}
