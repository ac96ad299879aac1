package log

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Keeping says for how long a topic keeps what is to go.
type Keeping struct {
	Compacted bool
	// For is how long a record stays on a disk at the most: after it was written
	// where age deletes, after it was superseded where the topic is compacted.
	// Brokers add the time that they take to look. It is [Forever] where
	// nothing bounds it.
	For time.Duration
}

// Forever is longer than anything is kept that is bounded.
const Forever = forever

// KeepingOf tells of a domain's topics and of topics that projectors publish to, by
// name. Those that are missing are left out.
func KeepingOf(ctx context.Context, client *kgo.Client, domain string, projections ...string) (map[string]Keeping, error) {
	policies := append(domainPolicies(domain, 0), repliesPolicy())
	for _, topic := range projections {
		policies = append(policies, policy{topic: topic, cleanup: "compact"})
	}
	admin := kadm.NewClient(client)
	configs, err := admin.DescribeTopicConfigs(ctx, names(policies)...)
	if err != nil {
		return nil, fmt.Errorf("describe settings of topics %v: %w", names(policies), err)
	}
	keeping := make(map[string]Keeping)
	for _, p := range policies {
		state := topicState{config: make(map[string]string)}
		config, err := configs.On(p.topic, func(r *kadm.ResourceConfig) error { return r.Err })
		if err != nil {
			continue
		}
		for _, c := range config.Configs {
			state.config[c.Key] = c.MaybeValue()
		}
		keeping[p.topic] = keepingOf(p, state)
	}
	return keeping, nil
}

// keepingOf reads the settings of one topic. A segment is deleted when its last
// record is old enough, and takes records for segment.ms. Compaction passes over
// the segment that is being written, which max.compaction.lag.ms closes.
func keepingOf(p policy, state topicState) Keeping {
	if p.cleanup == "compact" {
		return Keeping{true, duration(state.number("max.compaction.lag.ms"), time.Millisecond)}
	}
	retention := duration(state.number("retention.ms"), time.Millisecond)
	segment := duration(state.number("segment.ms"), time.Millisecond)
	if retention > forever-segment {
		return Keeping{false, forever}
	}
	return Keeping{false, retention + segment}
}
