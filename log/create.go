package log

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	// settleTime is how long brokers may take to learn of a new topic from
	// each other.
	settleTime = 10 * time.Second
	settleStep = 20 * time.Millisecond
)

// createMissing gives all topics as many partitions as the first that exists
// has, or, if none does, as the first that is created gets: two processes with
// different settings that meet here agree on one number.
func createMissing(ctx context.Context, admin *kadm.Client, policies []policy, s TopicSettings) error {
	counts, err := partitionCounts(ctx, admin, policies)
	if err != nil {
		return err
	}
	partitions := s.Partitions
	for _, p := range policies {
		if n, ok := counts[p.topic]; ok {
			partitions = n
			break
		}
	}
	for _, p := range policies {
		if counts[p.topic] > 0 {
			continue
		}
		if partitions < 1 {
			return fmt.Errorf("topic %s: log.partitions is %d: set it to at least 1", p.topic, partitions)
		}
		if err := create(ctx, admin, p, partitions, s.ReplicationFactor); err != nil {
			return err
		}
		if err := untilSettled(ctx, func() error {
			counts, err = partitionCounts(ctx, admin, []policy{p})
			if err == nil && counts[p.topic] == 0 {
				err = errNotYet
			}
			return err
		}); err != nil {
			return fmt.Errorf("topic %s: wait for it after its creation: %w", p.topic, err)
		}
		partitions = counts[p.topic]
	}
	return nil
}

// partitionCounts leaves out topics that don't exist.
func partitionCounts(ctx context.Context, admin *kadm.Client, policies []policy) (map[string]int32, error) {
	topics, err := admin.ListTopics(ctx, names(policies)...)
	if err != nil {
		return nil, fmt.Errorf("look for topics %v: %w", names(policies), err)
	}
	counts := make(map[string]int32)
	for name, topic := range topics {
		if topic.Err != nil && !errors.Is(topic.Err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("topic %s: %w", name, topic.Err)
		}
		if len(topic.Partitions) > 0 {
			counts[name] = int32(len(topic.Partitions))
		}
	}
	return counts, nil
}

// create is content when someone else was faster, and when the brokers take
// their time.
func create(ctx context.Context, admin *kadm.Client, p policy, partitions int32, replicas int16) error {
	if replicas < 1 {
		replicas = -1
	}
	answer, err := createWith(ctx, admin, p, partitions, replicas, p.settings, p.tuning)
	if errors.Is(err, kerr.InvalidConfig) || errors.Is(err, kerr.PolicyViolation) {
		answer, err = createWith(ctx, admin, p, partitions, replicas, p.settings)
	}
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists), errors.Is(err, kerr.RequestTimedOut):
		return nil
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return fmt.Errorf("topic %s: log.replication_factor is %d, which the cluster's brokers can't hold (%s): set it to their number or less", p.topic, replicas, answer.ErrMessage)
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return fmt.Errorf("topic %s: it does not exist, and this user may not create it: allow that, or create it with %d partitions and cleanup.policy=%s (%w)", p.topic, partitions, p.cleanup, err)
	case answer.ErrMessage != "":
		return fmt.Errorf("topic %s: create it with %d partitions: %w (%s)", p.topic, partitions, err, answer.ErrMessage)
	}
	return fmt.Errorf("topic %s: create it with %d partitions: %w", p.topic, partitions, err)
}

func createWith(ctx context.Context, admin *kadm.Client, p policy, partitions int32, replicas int16, settings ...map[string]string) (kadm.CreateTopicResponse, error) {
	config := map[string]*string{"cleanup.policy": &p.cleanup}
	if replicas >= 3 {
		// With Kafka's default of one an acknowledged page may be on a single
		// broker.
		config["min.insync.replicas"] = kadm.StringPtr("2")
	}
	for _, some := range settings {
		for key, value := range some {
			config[key] = &value
		}
	}
	return admin.CreateTopic(ctx, partitions, replicas, config, p.topic)
}

// untilSettled tries again while brokers have yet to learn of a topic or of a
// partition's leader.
func untilSettled(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		err := try()
		if err == nil || !errors.Is(err, errNotYet) && !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(settleStep):
		}
	}
}

func names(policies []policy) []string {
	var all []string
	for _, p := range policies {
		all = append(all, p.topic)
	}
	return all
}
