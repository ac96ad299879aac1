package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

// shelf is what Redis has of a partition, compared with the log.
type shelf struct {
	snapshots.Audit
	Partition int32
	// Owned says that somebody has taken the partition over since the last fault,
	// and was asked for each root: then all of it must be there.
	Owned bool
}

// shelf: whatever Redis has is what the log says, and an owner makes it complete.
func (j *judge) shelf() {
	ends := make(map[int32]int64)
	for _, p := range j.evidence.Pages {
		ends[p.Partition] = max(ends[p.Partition], p.Offset+1)
	}
	for _, s := range j.evidence.Shelf {
		for _, why := range s.Wrong {
			j.wrong(log.Root{}, "", "partition %d of the shelf, complete up to offset %d: %s", s.Partition, s.Mark, why)
		}
		switch {
		case !s.Owned:
		case s.Mark < 0:
			j.wrong(log.Root{}, "", "partition %d was taken over, and its shelf can't be believed: %v", s.Partition, s.Why)
		case s.Mark < ends[s.Partition]:
			j.wrong(log.Root{}, "", "partition %d was taken over, and its shelf ends at offset %d, the pages at %d", s.Partition, s.Mark, ends[s.Partition])
		case s.GivenUp > 0:
			j.wrong(log.Root{}, "", "partition %d of the shelf lacks %d books that were asked for", s.Partition, s.GivenUp)
		}
	}
}

// auditor compares Redis with the log.
type auditor struct {
	reader
	domain log.Domain
	shelf  *snapshots.Shelf
}

// newAuditor connects; without Redis it is nil.
func (r *runner) newAuditor(ctx context.Context, from reader) (*auditor, error) {
	if r.redis == nil {
		return nil, nil
	}
	domain, err := from.admin.EnsureDomain(ctx, r.domain, log.TopicSettings{Partitions: int32(r.o.Partitions), ReplicationFactor: 1})
	if err != nil {
		return nil, err
	}
	metrics, err := snapshots.NewMetrics(noop.Meter{})
	if err != nil {
		return nil, err
	}
	s, err := snapshots.Open(ctx, snapshots.Options{Address: r.redis.address, Metrics: metrics, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return &auditor{from, domain, s}, nil
}

// audit compares every partition. Where somebody owns them, it waits until what
// must be there is: a shelf is written behind.
func (a *auditor) audit(ctx context.Context, owned bool) (all []shelf, err error) {
	if a == nil {
		return nil, nil
	}
	ends, err := a.admin.HighWatermarks(ctx, log.EventsTopic(a.domain.Name))
	if err != nil {
		return nil, err
	}
	read := func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
		return a.cluster.Scan(ctx, log.EventsTopic(a.domain.Name), spans, fn)
	}
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for partition := range int32(len(ends)) {
		for {
			s, err := a.shelf.Audit(ctx, a.domain, partition, read, ends[partition])
			begun := s.Mark > 0 || s.Mark == 0 && ends[partition] == 0 // at 0 it is being rebuilt
			if there := err == nil && (!owned || begun && s.GivenUp == 0); there || sleep(within, 200*time.Millisecond) != nil {
				if err != nil {
					return nil, fmt.Errorf("partition %d: %w", partition, err)
				}
				all = append(all, shelf{s, partition, owned})
				break
			}
		}
	}
	return all, nil
}

func (a *auditor) close() {
	if a != nil {
		a.shelf.Close()
	}
}
