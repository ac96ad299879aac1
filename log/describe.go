package log

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// topicState is what the brokers say of a topic.
type topicState struct {
	id         [16]byte
	partitions int32
	replicas   int
	config     map[string]string
}

// number is -1 for what is missing or no number.
func (s topicState) number(key string) int64 {
	n, err := strconv.ParseInt(s.config[key], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// describe waits until every partition has a leader.
func describe(ctx context.Context, admin *kadm.Client, policies []policy) (found map[string]topicState, err error) {
	err = untilSettled(ctx, func() error {
		found, err = describeOnce(ctx, admin, policies)
		return err
	})
	return found, err
}

func describeOnce(ctx context.Context, admin *kadm.Client, policies []policy) (map[string]topicState, error) {
	topics, err := admin.ListTopics(ctx, names(policies)...)
	if err != nil {
		return nil, fmt.Errorf("describe topics %v: %w", names(policies), err)
	}
	configs, err := admin.DescribeTopicConfigs(ctx, names(policies)...)
	if err != nil {
		return nil, fmt.Errorf("describe settings of topics %v: %w", names(policies), err)
	}
	found := make(map[string]topicState, len(policies))
	for _, p := range policies {
		if found[p.topic], err = stateOf(topics[p.topic], configs, p.topic); err != nil {
			return nil, fmt.Errorf("topic %s: %w", p.topic, err)
		}
	}
	return found, nil
}

func stateOf(topic kadm.TopicDetail, configs kadm.ResourceConfigs, name string) (topicState, error) {
	state := topicState{
		id:         topic.ID,
		partitions: int32(len(topic.Partitions)),
		replicas:   topic.Partitions.NumReplicas(),
		config:     make(map[string]string),
	}
	if topic.Err != nil {
		return state, topic.Err
	}
	for _, p := range topic.Partitions {
		if p.Leader < 0 {
			return state, fmt.Errorf("partition %d has no leader: %w", p.Partition, errNotYet)
		}
	}
	config, err := configs.On(name, func(r *kadm.ResourceConfig) error { return r.Err })
	for _, c := range config.Configs {
		state.config[c.Key] = c.MaybeValue()
	}
	return state, err
}

func clusterID(ctx context.Context, admin *kadm.Client) (string, error) {
	meta, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return "", fmt.Errorf("ask for the cluster's id: %w", err)
	}
	return meta.Cluster, nil
}

// Describe says what a domain's events topic is, as [EnsureDomain] does, and
// creates nothing. Of the result only what concerns that topic is set. One that
// isn't there is [ErrGone].
func (a *Admin) Describe(ctx context.Context, domain string) (Domain, error) {
	admin := kadm.NewClient(a.client)
	topic := EventsTopic(domain)
	found, err := describeOnce(ctx, admin, []policy{{topic: topic}})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return Domain{}, ErrGone
	}
	if err != nil {
		return Domain{}, err
	}
	d := domainOf(domain, found)
	d.ClusterID, err = clusterID(ctx, admin)
	return d, err
}
