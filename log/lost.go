package log

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Reach is how far somebody has read a partition.
type Reach struct {
	Offset int64
	Epoch  int32 // of the leader then, -1 if that is not known
}

// Epochs gives the partitions' leaders' epochs, as they are now: what was known
// before is known under these, too.
func (a *Admin) Epochs(ctx context.Context, topic string) ([]int32, error) {
	p, err := a.find(ctx, topic)
	return p.epochs, err
}

// Lost gives the partitions of which the log is not any more what it was up to
// there, and up to where it still is. Brokers lose records that were committed if a
// replica becomes leader that did not have them; others may stand in their place by
// now, which only the leaders' epochs tell (KIP-320).
func (a *Admin) Lost(ctx context.Context, topic string, read map[int32]Reach) (map[int32]int64, error) {
	lost := make(map[int32]int64)
	ends, err := a.HighWatermarks(ctx, topic)
	if err != nil {
		return nil, err
	}
	var epochs kadm.OffsetForLeaderEpochRequest
	for p, at := range read {
		if end, ok := ends[p]; ok && at.Offset > end {
			lost[p] = end
		}
		if at.Epoch >= 0 && at.Offset > 0 {
			epochs.Add(topic, p, at.Epoch)
		}
	}
	if epochs == nil {
		return lost, nil
	}
	answer, err := kadm.NewClient(a.client).OffsetForLeaderEpoch(ctx, epochs)
	for p, of := range answer[topic] {
		if of.Err != nil {
			err = errors.Join(err, of.Err)
		} else if of.EndOffset >= 0 && of.EndOffset < read[p].Offset {
			lost[p] = of.EndOffset
		}
	}
	if err != nil {
		return lost, fmt.Errorf("ask how far %s is what it was: %w", topic, err)
	}
	return lost, nil
}
