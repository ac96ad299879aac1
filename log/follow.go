package log

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Follow reads one partition from an offset on, open transactions included, and
// calls fn with each record, until ctx ends. It is for records that are written
// outside of transactions.
func (c Cluster) Follow(ctx context.Context, topic string, partition int32, from int64, fn func(*Record)) error {
	cl, err := kgo.NewClient(append(c.Options("angzarr-follower"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), // what retention has passed is missed
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
	)...)
	if err != nil {
		return fmt.Errorf("follow %s/%d: %w", topic, partition, err)
	}
	defer cl.Close()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(k *kgo.Record) {
			r := FromClient(k)
			fn(&r)
		})
	}
	return nil
}
