package partitioning

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Finished is which records of a topic a group has finished, as it has committed
// it.
type Finished map[int32]*Progress

// FinishedBy asks the brokers.
func FinishedBy(ctx context.Context, client *kgo.Client, group, topic string) (Finished, error) {
	offsets, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("group %s: fetch offsets: %w", group, err)
	}
	finished := make(Finished)
	for partition, o := range offsets[topic] {
		if o.At < 0 {
			continue
		}
		progress, err := restore(o.At, o.Metadata)
		if err != nil {
			return nil, fmt.Errorf("group %s, partition %d: %w", group, partition, err)
		}
		finished[partition] = progress
	}
	return finished, nil
}

// Has says whether a record is finished. It is not known if the group has nothing
// committed for the partition.
func (f Finished) Has(partition int32, offset int64) (finished, known bool) {
	p := f[partition]
	if p == nil {
		return false, false
	}
	for _, s := range p.done {
		if offset >= s.from && offset < s.to {
			return true, true
		}
	}
	return offset < p.next, true
}
