package frontdoor

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Metrics are what the watch counts.
type Metrics struct {
	evictions, mistakes metric.Int64Counter
	peers               metric.Int64Gauge
}

// NewMetrics makes the instruments.
func NewMetrics(m metric.Meter) (*Metrics, error) {
	var failed []error
	counter := func(name, description string) metric.Int64Counter {
		c, err := m.Int64Counter(name, metric.WithDescription(description))
		failed = append(failed, err)
		return c
	}
	x := &Metrics{
		evictions: counter("angzarr.evictions", "Members that this process evicted as dead, by group and reason."),
		mistakes:  counter("angzarr.evictions.mistaken", "Members that were evicted, by whomever, and turned out to be alive."),
	}
	var err error
	x.peers, err = m.Int64Gauge("angzarr.peers.connected", metric.WithDescription("Other processes to which a connection is held."))
	if err := errors.Join(append(failed, err)...); err != nil {
		return nil, fmt.Errorf("make the peers' metrics: %w", err)
	}
	return x, nil
}

func (m *Metrics) evicted(group, why string) {
	m.evictions.Add(context.Background(), 1, metric.WithAttributes(attribute.String("group", group), attribute.String("reason", why)))
}

func (m *Metrics) mistaken() { m.mistakes.Add(context.Background(), 1) }

func (m *Metrics) connected(peers int) { m.peers.Record(context.Background(), int64(peers)) }
