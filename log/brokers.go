package log

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// BrokerFacts are what commits and start-up depend on.
type BrokerFacts struct {
	// TransactionVersion is the cluster's finalized transaction.version. At 2
	// (KIP-890) a transaction's partitions and offsets are added to it by the
	// broker, below that by AddPartitionsToTxn and AddOffsetsToTxn.
	TransactionVersion int16
	// TxnRetryBackoff is add.partitions.to.txn.retry.backoff.ms, the longest
	// of the brokers', or 0 where they don't say. At the default of 20 ms a
	// transaction that follows upon another waits up to that long.
	TxnRetryBackoff time.Duration
	// OffsetsRetention is how long an idle group's committed offsets are kept
	// (offsets.retention.minutes), the shortest of the brokers', or 0 where
	// they don't say.
	OffsetsRetention time.Duration
}

// DefaultTxnRetryBackoff is Kafka's own, which start-up advises against.
const DefaultTxnRetryBackoff = 20 * time.Millisecond

// fencedOffsetCommit is the first version of TxnOffsetCommit that carries the
// member's generation (KIP-447).
const fencedOffsetCommit = 3

// CheckBroker refuses brokers that can't fence a deposed worker.
func CheckBroker(ctx context.Context, client *kgo.Client) (BrokerFacts, error) {
	admin := kadm.NewClient(client)
	versions, err := admin.ApiVersions(ctx)
	if err != nil {
		return BrokerFacts{}, fmt.Errorf("ask brokers for their versions: %w", err)
	}
	facts := BrokerFacts{TransactionVersion: math.MaxInt16}
	var brokers []int32
	for _, v := range versions.Sorted() {
		if v.Err != nil {
			err = v.Err // one that is down is no reason not to start
			continue
		}
		brokers = append(brokers, v.NodeID)
		if highest, _ := v.KeyMaxVersion(kmsg.TxnOffsetCommit.Int16()); highest < fencedOffsetCommit {
			return BrokerFacts{}, fmt.Errorf("broker %d takes TxnOffsetCommit up to version %d, which carries no generation, so that a deposed worker could go on writing: Kafka 2.5 or newer is needed", v.NodeID, highest)
		}
		facts.TransactionVersion = min(facts.TransactionVersion, transactionVersion(v.Raw()))
	}
	if len(brokers) == 0 {
		return BrokerFacts{}, fmt.Errorf("ask brokers for their versions: %w", err)
	}
	return facts, facts.readSettings(ctx, admin, brokers)
}

// transactionVersion is 0 on clusters that know no such feature.
func transactionVersion(v *kmsg.ApiVersionsResponse) int16 {
	for _, feature := range v.FinalizedFeatures {
		if feature.Name == "transaction.version" {
			return feature.MaxVersionLevel
		}
	}
	return 0
}

// readSettings leaves at 0 what brokers don't have, and what they don't tell
// this user.
func (f *BrokerFacts) readSettings(ctx context.Context, admin *kadm.Client, brokers []int32) error {
	configs, err := admin.DescribeBrokerConfigs(ctx, brokers...)
	if _, denied := errors.AsType[*kadm.AuthError](err); err != nil && !denied && len(configs) == 0 {
		return fmt.Errorf("ask brokers for their settings: %w", err)
	}
	for _, broker := range configs {
		for _, c := range broker.Configs {
			n, err := strconv.ParseInt(c.MaybeValue(), 10, 64)
			if err != nil || n < 0 {
				continue
			}
			switch c.Key {
			case "offsets.retention.minutes":
				f.OffsetsRetention = shortest(f.OffsetsRetention, duration(n, time.Minute))
			case "add.partitions.to.txn.retry.backoff.ms":
				f.TxnRetryBackoff = max(f.TxnRetryBackoff, duration(n, time.Millisecond))
			}
		}
	}
	return nil
}

// shortest takes 0 for unknown.
func shortest(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}
