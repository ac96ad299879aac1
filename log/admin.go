package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Admin asks brokers about topics and groups, and creates what is missing.
type Admin struct {
	client *kgo.Client

	mu     sync.Mutex
	places map[string]place
}

// NewAdmin makes one; Close must follow. Nothing is connected yet.
func (c Cluster) NewAdmin(clientID string) (*Admin, error) {
	client, err := kgo.NewClient(c.Options(clientID)...)
	if err != nil {
		return nil, fmt.Errorf("admin client: %w", err)
	}
	return &Admin{client: client}, nil
}

// Client is for packages that speak Kafka themselves.
func (a *Admin) Client() *kgo.Client { return a.client }

// EnsureDomain is [EnsureDomain].
func (a *Admin) EnsureDomain(ctx context.Context, domain string, s TopicSettings) (Domain, error) {
	return EnsureDomain(ctx, a.client, domain, s)
}

// EnsureReplies is [EnsureReplies].
func (a *Admin) EnsureReplies(ctx context.Context, s TopicSettings) (int32, error) {
	return EnsureReplies(ctx, a.client, s)
}

// EnsureProjections is [EnsureProjections].
func (a *Admin) EnsureProjections(ctx context.Context, projector string, s TopicSettings) (Projections, error) {
	return EnsureProjections(ctx, a.client, projector, s)
}

// EnsureStagedProjections is [EnsureStagedProjections].
func (a *Admin) EnsureStagedProjections(ctx context.Context, projector string, version uint32, s TopicSettings) (Projections, error) {
	return EnsureStagedProjections(ctx, a.client, projector, version, s)
}

// EnsureProjectors makes sure of [ProjectorsTopic], and gives its id.
func (a *Admin) EnsureProjectors(ctx context.Context) (id [16]byte, err error) {
	return EnsureProjectors(ctx, a.client)
}

// DeleteTopic deletes a topic that nobody needs any more. One that is not there is
// no error.
func (a *Admin) DeleteTopic(ctx context.Context, topic string) error {
	_, err := kadm.NewClient(a.client).DeleteTopic(ctx, topic)
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("delete topic %s: %w", topic, err)
	}
	return nil
}

// Enrol is [Cluster.Enrol].
func (a *Admin) Enrol(ctx context.Context, c Cluster, reader Reader, domain string) error {
	return c.Enrol(ctx, a.client, reader, domain)
}

// Enrolled is what the groups' topic has of a group; false says that it is not known.
func (a *Admin) Enrolled(ctx context.Context, c Cluster, group string) (Reader, bool, error) {
	return c.enrolled(ctx, a.client, group)
}

// EnsureGroups is [EnsureGroups].
func (a *Admin) EnsureGroups(ctx context.Context) error {
	return EnsureGroups(ctx, a.client)
}

// OffsetsAt gives, for each of a topic's partitions, the first offset whose record
// is not older than that by its writer's clock: the end, where there is none.
func (a *Admin) OffsetsAt(ctx context.Context, topic string, at time.Time) (map[int32]int64, error) {
	return offsets(kadm.NewClient(a.client).ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic))
}

// Committed gives the offsets that a group has committed for a topic.
func (a *Admin) Committed(ctx context.Context, group, topic string) (map[int32]int64, error) {
	offsets, err := kadm.NewClient(a.client).FetchOffsets(ctx, group)
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("group %s: fetch offsets: %w", group, err)
	}
	committed := make(map[int32]int64)
	for partition, o := range offsets[topic] {
		committed[partition] = o.At
	}
	return committed, nil
}

// DeleteGroup forgets a group without members, and what it has committed. One that
// is not there is no error.
func (a *Admin) DeleteGroup(ctx context.Context, group string) error {
	_, err := kadm.NewClient(a.client).DeleteGroup(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("delete group %s: %w", group, err)
	}
	return nil
}

// Latest gives the last record of a partition with that key, committed by now; nil
// if there is none. It reads all of the partition.
func (a *Admin) Latest(ctx context.Context, c Cluster, topic string, partition int32, key []byte) (latest *Record, err error) {
	ends, err := a.HighWatermarks(ctx, topic)
	if err != nil {
		return nil, err
	}
	err = c.Scan(ctx, topic, map[int32]Span{partition: {To: ends[partition]}}, func(r *Record) error {
		if bytes.Equal(r.Key, key) {
			found := *r // the record is the scan's
			latest = &found
		}
		return nil
	})
	return latest, err
}

// Domains is [Domains].
func (a *Admin) Domains(ctx context.Context) (map[string]int32, error) {
	return Domains(ctx, a.client)
}

// Facts is [CheckBroker].
func (a *Admin) Facts(ctx context.Context) (BrokerFacts, error) {
	return CheckBroker(ctx, a.client)
}

// HighWatermarks is [HighWatermarks].
func (a *Admin) HighWatermarks(ctx context.Context, topic string) (map[int32]int64, error) {
	return HighWatermarks(ctx, a.client, topic)
}

// Starts is [Starts].
func (a *Admin) Starts(ctx context.Context, topic string) (map[int32]int64, error) {
	return Starts(ctx, a.client, topic)
}

// KeepingOf is [KeepingOf].
func (a *Admin) KeepingOf(ctx context.Context, domain string, projections ...string) (map[string]Keeping, error) {
	return KeepingOf(ctx, a.client, domain, projections...)
}

// AllProjections is [AllProjections].
func (a *Admin) AllProjections(ctx context.Context) (map[string]int32, error) {
	return AllProjections(ctx, a.client)
}

// StableOffsets is [StableOffsets].
func (a *Admin) StableOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	return StableOffsets(ctx, a.client, topic)
}

// Close closes the connections.
func (a *Admin) Close() { a.client.Close() }
