package rebuild

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// groupsOf lists a version's groups, as they are on the cluster: of whatever domains
// and whoever's.
func groupsOf(ctx context.Context, roster *partitioning.Roster, name string, version uint32) ([]string, error) {
	groups, err := roster.Groups(ctx, log.SteeringGroup(name)+".")
	return slices.DeleteFunc(groups, func(group string) bool {
		of, _, v, ok := log.ProjectorOf(group)
		return !ok || of != name || v != version
	}), err
}

// progress is how far a version is, in offsets.
type progress struct{ left, total, partitions int64 }

// look sees how far a rebuild is.
func (s *Steersman) look(ctx context.Context, state *State) (progress, error) {
	domains, err := s.domains(ctx, state.Version)
	if err != nil {
		return progress{}, err
	}
	return look(ctx, s.c.Admin, s.c.Name, state.Rebuild.Version, domains)
}

// look sees how far a version is with the events of domains. What it has not begun
// with is left as a whole.
func look(ctx context.Context, admin *log.Admin, name string, version uint32, domains []string) (p progress, err error) {
	groups := make([]string, len(domains))
	for i, domain := range domains {
		groups[i] = log.ProjectorVersionGroup(name, domain, version)
	}
	standings, err := partitioning.StandingsOf(ctx, admin.Client(), groups...)
	if err != nil {
		return p, err
	}
	begun := make(map[string]bool)
	for _, s := range standings {
		begun[s.Group] = true
		p.partitions++
		p.left += s.Waiting
		p.total += s.End - s.Start
	}
	for i, domain := range domains {
		if begun[groups[i]] {
			continue
		}
		starts, err := admin.Starts(ctx, log.EventsTopic(domain))
		if err != nil {
			return p, err
		}
		ends, err := admin.HighWatermarks(ctx, log.EventsTopic(domain))
		if err != nil {
			return p, err
		}
		for partition, end := range ends {
			p.partitions++
			p.left += end - starts[partition]
			p.total += end - starts[partition]
		}
	}
	return p, nil
}

// pace says how fast a rebuild is, from what it did in the last seconds.
type pace struct {
	seen []sample
	told time.Time // when the log said so last
}

type sample struct {
	at   time.Time
	done int64
}

// paceOver is how far back it looks.
const paceOver = 10 * time.Second

func (p *pace) see(now time.Time, done int64) {
	p.seen = append(p.seen, sample{now, done})
	for len(p.seen) > 2 && now.Sub(p.seen[1].at) >= paceOver {
		p.seen = p.seen[1:]
	}
}

// rate is in offsets a second, 0 where it isn't known.
func (p *pace) rate() float64 {
	if len(p.seen) < 2 {
		return 0
	}
	first, last := p.seen[0], p.seen[len(p.seen)-1]
	return max(0, float64(last.done-first.done)/last.at.Sub(first.at).Seconds())
}

// still says that nothing was done for some seconds.
func (p *pace) still(now time.Time) bool {
	for _, s := range p.seen {
		if now.Sub(s.at) >= stillFor {
			return s.done == p.seen[len(p.seen)-1].done
		}
	}
	return false
}

const stillFor = 3 * time.Second

// Remaining is how long a rebuild takes yet, 0 where that isn't known.
func Remaining(left int64, perSecond float64) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	return time.Duration(float64(left) / perSecond * float64(time.Second))
}

// reportEvery is how often the log says how far a rebuild is.
const reportEvery = 5 * time.Second

func (s *Steersman) report(now time.Time, state *State, p progress) {
	rate := s.pace.rate()
	s.c.Metrics.record(s.c.Name, p, rate)
	if now.Sub(s.pace.told) < reportEvery {
		return
	}
	s.pace.told = now
	s.log.Info("rebuilding a projector", "version", state.Rebuild.Version, "in_place", state.Rebuild.InPlace,
		"left", p.left, "of", p.total, "per_second", int64(rate), "remaining", Remaining(p.left, rate).Round(time.Second))
}

// Metrics say how far rebuilds are. One is shared by all of a process.
type Metrics struct {
	left, total     metric.Int64Gauge
	rate, remaining metric.Float64Gauge
}

// NewMetrics makes the instruments.
func NewMetrics(m metric.Meter) (*Metrics, error) {
	var x Metrics
	var failed [4]error
	x.left, failed[0] = m.Int64Gauge("angzarr.rebuild.left", metric.WithDescription("Offsets that a rebuild of a projector has yet to do; said by the process that steers it."))
	x.total, failed[1] = m.Int64Gauge("angzarr.rebuild.total", metric.WithDescription("Offsets of all its events."))
	x.rate, failed[2] = m.Float64Gauge("angzarr.rebuild.rate", metric.WithUnit("1/s"), metric.WithDescription("Offsets a second that a rebuild does."))
	x.remaining, failed[3] = m.Float64Gauge("angzarr.rebuild.remaining", metric.WithUnit("s"), metric.WithDescription("How long a rebuild takes yet, 0 where that is not known."))
	if err := errors.Join(failed[:]...); err != nil {
		return nil, fmt.Errorf("make the metrics of rebuilds: %w", err)
	}
	return &x, nil
}

func (x *Metrics) record(name string, p progress, rate float64) {
	ctx, with := context.Background(), metric.WithAttributes(attribute.String("projector", name))
	x.left.Record(ctx, p.left, with)
	x.total.Record(ctx, p.total, with)
	x.rate.Record(ctx, rate, with)
	x.remaining.Record(ctx, Remaining(p.left, rate).Seconds(), with)
}

// none says that no rebuild is under way.
func (x *Metrics) none(name string) { x.record(name, progress{}, 0) }
