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
	stageDecide = "decide" // from arrival to the decision, waiting included
	stageLogic  = "logic"  // one call of business logic
	stageCommit = "commit" // one transaction
	stageTotal  = "total"  // from arrival to the answer
)

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

func domainIs(domain string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("domain", domain)))
}

func domainAnd(domain, key, value string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("domain", domain), attribute.String(key, value)))
}

func (m *Metrics) finished(domain string, c *command, err error) {
	outcome := codes.OK.String()
	switch {
	case errors.Is(err, ErrNotOwner):
		outcome = "not owner"
	case err != nil:
		outcome = status.Code(err).String()
	}
	ctx := context.Background()
	m.commands.Add(ctx, 1, domainAnd(domain, "outcome", outcome))
	m.latency.Record(ctx, time.Since(c.arrived).Seconds(), domainAnd(domain, "stage", stageTotal))
}

func (m *Metrics) stage(domain, stage string, took time.Duration) {
	m.latency.Record(context.Background(), took.Seconds(), domainAnd(domain, "stage", stage))
}

func (m *Metrics) batch(domain string, commands int) {
	m.batches.Record(context.Background(), float64(commands), domainIs(domain))
}

func (m *Metrics) aborted(domain, reason string) {
	m.aborts.Add(context.Background(), 1, domainAnd(domain, "reason", reason))
}

func (m *Metrics) retried(domain string) {
	m.retries.Add(context.Background(), 1, domainIs(domain))
}

func (m *Metrics) owned(domain string, n int) {
	m.partitions.Record(context.Background(), int64(n), domainIs(domain))
}

func (m *Metrics) paused(domain string, n int) {
	m.pauses.Record(context.Background(), int64(n), domainIs(domain))
}

func (m *Metrics) tookOver(domain string, took time.Duration) {
	m.takeover.Record(context.Background(), took.Seconds(), domainIs(domain))
}

func (m *Metrics) loaded(domain string, books int, took time.Duration) {
	m.loads.Add(context.Background(), int64(books), domainIs(domain))
	m.loading.Record(context.Background(), took.Seconds(), domainIs(domain))
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
