package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Depth measures how many dead letters a domain has, and how old they are. It
// remembers the time of each.
type Depth struct {
	cluster log.Cluster
	admin   *log.Admin
	domain  string
	log     *slog.Logger
	depth   metric.Int64Gauge
	age     metric.Float64Gauge
	with    metric.MeasurementOption

	// All below is owned by Run.
	letters map[log.LetterID]time.Time
	read    map[int32]int64 // up to where each partition was read
}

// lookEvery is how often the topic is looked at.
const lookEvery = 10 * time.Second

// NewDepth makes the measure of a domain; Run takes it.
func NewDepth(cluster log.Cluster, admin *log.Admin, domain string, m metric.Meter, logger *slog.Logger) (*Depth, error) {
	depth, err := m.Int64Gauge("angzarr.dead_letters", metric.WithDescription("Dead letters that nobody is done with."))
	age, err2 := m.Float64Gauge("angzarr.dead_letters.age", metric.WithUnit("s"),
		metric.WithDescription("How long ago the oldest dead letter was tried last, 0 without any."))
	if err := errors.Join(err, err2); err != nil {
		return nil, fmt.Errorf("make the metrics of dead letters: %w", err)
	}
	return &Depth{
		cluster: cluster, admin: admin, domain: domain, log: logger, depth: depth, age: age,
		with:    metric.WithAttributeSet(attribute.NewSet(attribute.String("domain", domain))),
		letters: make(map[log.LetterID]time.Time), read: make(map[int32]int64),
	}, nil
}

// Run measures until ctx ends. What can't be read now is read the next time.
func (d *Depth) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := d.look(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("dead letters can't be counted; trying again", "domain", d.domain, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look reads what is new in the topic.
func (d *Depth) look(ctx context.Context) error {
	ends, err := d.admin.HighWatermarks(ctx, log.DeadLettersTopic(d.domain))
	if err != nil {
		return err
	}
	spans := make(map[int32]log.Span, len(ends))
	for p, end := range ends {
		spans[p] = log.Span{From: d.read[p], To: end}
	}
	err = d.cluster.FollowLetters(ctx, d.domain, spans, func(l *log.DeadLetter, stands bool) {
		if stands {
			d.letters[l.ID] = l.Time
		} else {
			delete(d.letters, l.ID)
		}
	})
	if err != nil {
		return err // what was taken in is taken in again
	}
	for p, end := range ends {
		d.read[p] = end
	}
	d.measure(ctx, time.Now())
	return nil
}

func (d *Depth) measure(ctx context.Context, now time.Time) {
	oldest := now
	for _, at := range d.letters {
		if at.Before(oldest) {
			oldest = at
		}
	}
	d.depth.Record(ctx, int64(len(d.letters)), d.with)
	d.age.Record(ctx, now.Sub(oldest).Seconds(), d.with)
}
