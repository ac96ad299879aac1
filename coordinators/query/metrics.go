package query

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Where a root's pages were found.
const (
	fromShelf = "shelf"
	fromLog   = "log"
)

// Metrics are what queries count. One is shared by all of a process.
type Metrics struct {
	open                 metric.Int64UpDownCounter
	slow, reads, records metric.Int64Counter
}

// NewMetrics makes the instruments.
func NewMetrics(m metric.Meter) (*Metrics, error) {
	var errs [4]error
	var x Metrics
	x.open, errs[0] = m.Int64UpDownCounter("angzarr.query.subscribers", metric.WithDescription("Open Synchronize streams."))
	x.slow, errs[1] = m.Int64Counter("angzarr.query.behind", metric.WithDescription("How often a subscriber was too slow for what is committed, and was given the log instead."))
	x.reads, errs[2] = m.Int64Counter("angzarr.query.reads", metric.WithDescription("Roots whose pages were asked for, by how they were found: shelf, or log (all of the partition was searched)."))
	x.records, errs[3] = m.Int64Counter("angzarr.query.searched", metric.WithDescription("Offsets of the log that were gone through in search of a root's pages."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("make the queries' metrics: %w", err)
	}
	return &x, nil
}

func (m *Metrics) subscribers(n int64) { m.open.Add(context.Background(), n) }

func (m *Metrics) behind(domain string) {
	m.slow.Add(context.Background(), 1, metric.WithAttributes(attribute.String("domain", domain)))
}

func (m *Metrics) read(domain, from string) {
	m.reads.Add(context.Background(), 1, metric.WithAttributes(attribute.String("domain", domain), attribute.String("from", from)))
}

func (m *Metrics) searched(domain string, records int64) {
	m.records.Add(context.Background(), records, metric.WithAttributes(attribute.String("domain", domain)))
}
