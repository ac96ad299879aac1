package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/angzarr/angzarr-kafka/log"
)

// topics of one domain.
type topics struct{ commands, events string }

func topicsOf(domain string) topics {
	return topics{commands: log.CommandsTopic(domain), events: log.EventsTopic(domain)}
}

// clientOptions are those that the runtime's own clients have.
func clientOptions(brokers []string, more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(brokers...),
		// A retriable produce error waits for new metadata: 5 s by default.
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.ConcurrentTransactionsBackoff(2 * time.Millisecond),
	}, more...)
}

// transactionVersion is the cluster's finalized transaction.version; 0 where
// the broker knows of none (Kafka before 4, Redpanda).
func transactionVersion(ctx context.Context, client *kgo.Client) (int16, error) {
	response, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
	if err != nil {
		return 0, fmt.Errorf("ask for the cluster's features: %w", err)
	}
	for _, feature := range response.FinalizedFeatures {
		if feature.Name == "transaction.version" {
			return feature.MaxVersionLevel, nil
		}
	}
	return 0, nil
}

// versionsFor keeps TxnOffsetCommit at 4 where the cluster wants AddOffsetsToTxn
// before it: from 5 on the request adds the group by itself (KIP-890).
func versionsFor(transactionVersion int16) *kversion.Versions {
	versions := kversion.Stable()
	if transactionVersion < 2 {
		versions.SetMaxKeyVersion(kmsg.TxnOffsetCommit.Int16(), 4)
	}
	return versions
}

// deleteTopics removes all that a domain has left at the broker.
func deleteTopics(ctx context.Context, admin *kadm.Client, domain string) error {
	existing, err := admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list the topics of %s: %w", domain, err)
	}
	// What starts like a domain's topics is one of them.
	names := slices.DeleteFunc(existing.Names(), func(name string) bool {
		return !strings.HasPrefix(name, strings.TrimSuffix(log.EventsTopic(domain), "events"))
	})
	if len(names) == 0 {
		return nil
	}
	if _, err := admin.DeleteTopics(ctx, names...); err != nil {
		return fmt.Errorf("delete the topics of %s: %w", domain, err)
	}
	return nil
}

// partitioner is Kafka's own default for records that have a key: murmur2. Safe
// for concurrent use, as it keeps no state for those.
type partitioner struct{ kgo.TopicPartitioner }

func newPartitioner() partitioner {
	return partitioner{kgo.StickyKeyPartitioner(nil).ForTopic("")}
}

func (p partitioner) partition(key []byte, partitions int) int32 {
	return int32(p.Partition(&kgo.Record{Key: key}, partitions))
}
