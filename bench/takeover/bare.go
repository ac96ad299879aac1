package takeover

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/angzarr/angzarr-kafka/log"
)

// bareScan reads all of the domain's events with the client and the options that
// the runtime reads with, and does nothing with them.
func (w *world) bareScan(ctx context.Context, d *domain) (time.Duration, error) {
	begun := time.Now()
	ends, err := log.HighWatermarks(ctx, w.client, d.events())
	if err != nil {
		return 0, err
	}
	from := make(map[int32]kgo.Offset, len(ends))
	for partition, end := range ends {
		if end == 0 {
			delete(ends, partition)
			continue
		}
		from[partition] = kgo.NewOffset().At(0)
	}
	client, err := kgo.NewClient(append(w.cluster.Options("angzarr-bench-scan"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{d.events(): from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, fmt.Errorf("scan %s: %w", d.events(), err)
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if n := len(p.Records); n > 0 && p.Records[n-1].Offset >= ends[p.Partition]-1 {
				delete(ends, p.Partition)
			}
		})
	}
	return time.Since(begun), nil
}

// entry is a key in Redis and what it holds.
type entry struct{ key, value string }

// copyShelf reads all that the shelf holds of a domain.
func (w *world) copyShelf(ctx context.Context, d *domain) (entries []entry, err error) {
	err = w.keys(ctx, shelfKeys(d), func(keys []string) error {
		values, err := w.redis.MGet(ctx, keys...).Result()
		for i, value := range values {
			text, _ := value.(string)
			entries = append(entries, entry{"bench:" + keys[i], text})
		}
		return err
	})
	return entries, err
}

// pipelined is how many writes are sent before their answers are read.
const pipelined = 1000

// bareWrite writes entries as fast as a pipeline can, on as many connections as
// there are processors, and deletes them again.
func (w *world) bareWrite(ctx context.Context, d *domain, entries []entry) (time.Duration, error) {
	begun := time.Now()
	all, writing := errgroup.WithContext(ctx)
	share := (len(entries) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for from := 0; from < len(entries); from += share {
		mine := entries[from:min(from+share, len(entries))]
		all.Go(func() error {
			for len(mine) > 0 {
				n := min(pipelined, len(mine))
				pipe := w.redis.Pipeline()
				for _, e := range mine[:n] {
					pipe.Set(writing, e.key, e.value, 0)
				}
				if _, err := pipe.Exec(writing); err != nil {
					return fmt.Errorf("redis: pipelined write: %w", err)
				}
				mine = mine[n:]
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	return took, w.forget(ctx, "bench:"+shelfKeys(d))
}
