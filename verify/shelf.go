package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

// ShelfReport is what Redis has of a partition.
type ShelfReport struct {
	snapshots.Audit
	Partition int32
	// Busy says that it was written to each time it was looked at, so that nothing
	// can be said of it.
	Busy bool
}

// tries is how often a partition is looked at whose shelf is written to meanwhile.
const tries = 5

// shelf compares each partition's shelf with the log.
func shelf(ctx context.Context, o Options, admin *log.Admin, domain log.Domain) (all []ShelfReport, err error) {
	topic := log.EventsTopic(domain.Name)
	read := func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
		return o.Cluster.Scan(ctx, topic, spans, fn)
	}
	for partition := range domain.Partitions {
		found := ShelfReport{Partition: partition, Busy: true}
		for n := 0; found.Busy && n < tries; n++ {
			ends, err := admin.HighWatermarks(ctx, topic)
			if err != nil {
				return all, err
			}
			found.Audit, err = o.Shelf.Audit(ctx, domain, partition, read, ends[partition])
			found.Busy = errors.Is(err, snapshots.ErrBusy)
			switch {
			case err != nil && !found.Busy:
				return all, fmt.Errorf("the shelf of partition %d: %w", partition, err)
			case found.Busy:
				pause(ctx, 200*time.Millisecond)
			}
		}
		all = append(all, found)
	}
	return all, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
