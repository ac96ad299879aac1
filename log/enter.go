package log

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Enter waits until a topic that a client has written to is on its books. The
// first records of a topic leave the client a moment before that, and may be
// acknowledged within it. A transaction that ends then seems empty to the client:
// told to commit, it aborts, or does nothing, and says that all is well.
func Enter(ctx context.Context, client *kgo.Client, topic string, partition int32) error {
	const look = time.Millisecond
	for {
		leader, _, err := client.PartitionLeader(topic, partition)
		if err == nil && leader >= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the client has not learnt of %s/%d, to which it has written: %w", topic, partition, ctx.Err())
		case <-time.After(look):
		}
	}
}
