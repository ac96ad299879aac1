package bench

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// offsets is a place in each partition of a topic.
type offsets map[int32]int64

func (o offsets) at(topic string) map[string]map[int32]kgo.Offset {
	partitions := make(map[int32]kgo.Offset, len(o))
	for partition, offset := range o {
		partitions[partition] = kgo.NewOffset().At(offset)
	}
	return map[string]map[int32]kgo.Offset{topic: partitions}
}

func endOf(ctx context.Context, admin *kadm.Client, topic string) (offsets, error) {
	listed, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list end offsets of %s: %w", topic, err)
	}
	ends := offsets{}
	listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends, nil
}

// audit reads what the run has committed, from where it began, and holds it
// against the ledger. Numbered pages must begin at 1 and have no gap.
func audit(ctx context.Context, brokers []string, domain string, from offsets, l *ledger, numbered bool) error {
	topic := topicsOf(domain).events
	client, err := kgo.NewClient(clientOptions(brokers,
		kgo.ConsumePartitions(from.at(topic)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Else nobody sees that the end is reached where it is a marker.
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer client.Close()
	until, err := endOf(ctx, kadm.NewClient(client), topic)
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	for partition, end := range until {
		if end <= from[partition] {
			delete(until, partition)
		}
	}

	books := books{found: make(entries, l.issued.Load()), last: map[root]uint32{}, numbered: numbered}
	for len(until) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("audit: read %s: %w", topic, err)
		}
		for r := range fetches.RecordsAll() {
			if err := books.add(r); err != nil {
				return fmt.Errorf("audit: %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			if end, ok := until[r.Partition]; ok && r.Offset >= end-1 {
				delete(until, r.Partition)
			}
		}
	}
	if err := l.check(books.found); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
