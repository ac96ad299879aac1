package log

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tailWait is how long a broker holds a read of a tail to which nothing comes.
const tailWait = time.Second

// Tail reads a topic's partitions from exact offsets on, read_committed, and calls
// fn with each stretch that came, in order per partition, from one goroutine. It
// goes on until ctx ends, and through restarts of brokers; what it can't go on
// after, such as a log that was cut off before an offset, is its error.
func (c Cluster) Tail(ctx context.Context, topic string, from map[int32]int64, fn func(Stretch)) error {
	offsets := make(map[int32]kgo.Offset, len(from))
	for p, at := range from {
		offsets[p] = kgo.NewOffset().At(at)
	}
	cl, err := kgo.NewClient(append(c.Options("angzarr-tail"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // so that Next gets past them
		kgo.FetchMaxWait(tailWait),
		kgo.FetchMaxBytes(8<<20),
	)...)
	if err != nil {
		return fmt.Errorf("follow %s: %w", topic, err)
	}
	defer cl.Close()
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if ctx.Err() == nil && !kerr.IsRetriable(e.Err) {
				return fmt.Errorf("follow %s/%d: %w", topic, e.Partition, e.Err)
			}
		}
		fetches.EachPartition(func(tp kgo.FetchTopicPartition) {
			if len(tp.Records) == 0 {
				return
			}
			s := Stretch{Partition: tp.Partition, Stable: tp.LastStableOffset, Records: make([]Record, 0, len(tp.Records))}
			for _, k := range tp.Records {
				s.Epoch = k.LeaderEpoch
				if s.Next = k.Offset + 1; !k.Attrs.IsControl() {
					s.Records = append(s.Records, FromClient(k))
				}
			}
			fn(s)
		})
	}
	return ctx.Err()
}
