package log

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TopicSettings are for topics that don't exist yet; what exists stays as it
// is.
type TopicSettings struct {
	// Partitions is at least 1. It can't be changed later without moving
	// roots, so it bounds how many workers a domain can ever have.
	Partitions int32
	// ReplicationFactor 0 is the brokers' default.
	ReplicationFactor int16
}

// Domain is what the brokers say of a domain whose topics have been checked.
type Domain struct {
	Name string
	// Partitions of each of its topics. It differs from the settings' where
	// the domain was there before.
	Partitions int32
	// CommandsID is the commands topic's id, zero where brokers have none.
	// TxnOffsetCommit wants it from version 6 on (KIP-848).
	CommandsID [16]byte
	// ClusterID and EventsID say which log this is: a topic of the same name
	// on another cluster, or made anew, is another one. They are empty and
	// zero where brokers have none.
	ClusterID string
	EventsID  [16]byte
	// CommandsMaxBytes and EventsMaxBytes bound a batch of records after
	// compression (max.message.bytes).
	CommandsMaxBytes, EventsMaxBytes int32
	// CommandsRetention is how long the brokers keep a command, the longest
	// Duration if without limit.
	CommandsRetention time.Duration
	// TombstoneRetention is how long an erased page's tombstone can be seen
	// (delete.retention.ms): who has read up to a point longer ago than this
	// may have missed some.
	TombstoneRetention time.Duration
}

// EnsureDomain creates what is missing of a domain's topics and checks what is
// there; any number of processes may do so at once. On return the topics can
// be written to, and the group has a committed offset for each partition of
// the commands topic in which nothing was ever written. An error about a topic
// names the setting, its value, and what would be right.
func EnsureDomain(ctx context.Context, client *kgo.Client, domain string, s TopicSettings) (Domain, error) {
	if err := ValidDomain(domain); err != nil {
		return Domain{}, err
	}
	facts, err := CheckBroker(ctx, client)
	if err != nil {
		return Domain{}, fmt.Errorf("domain %s: %w", domain, err)
	}
	admin := kadm.NewClient(client)
	policies := domainPolicies(domain, facts.OffsetsRetention)
	found, err := ensureTopics(ctx, admin, policies, s)
	if err != nil {
		return Domain{}, fmt.Errorf("domain %s: %w", domain, err)
	}
	d := domainOf(domain, found)
	if d.ClusterID, err = clusterID(ctx, admin); err != nil {
		return Domain{}, fmt.Errorf("domain %s: %w", domain, err)
	}
	if err := commitFirstOffsets(ctx, admin, Group(domain), CommandsTopic(domain), false); err != nil {
		return Domain{}, fmt.Errorf("domain %s: %w", domain, err)
	}
	return d, nil
}

// EnsureReplies does the same for the topic of replies, and returns how many
// partitions it has.
func EnsureReplies(ctx context.Context, client *kgo.Client, s TopicSettings) (int32, error) {
	found, err := ensureTopics(ctx, kadm.NewClient(client), []policy{repliesPolicy()}, s)
	return found[RepliesTopic].partitions, err
}

// EnsureProjectors does the same for [ProjectorsTopic], and gives its id.
func EnsureProjectors(ctx context.Context, client *kgo.Client) (id [16]byte, err error) {
	p := projectorsPolicy()
	found, err := ensureTopics(ctx, kadm.NewClient(client), []policy{p}, TopicSettings{Partitions: 1})
	if state := found[p.topic]; err == nil && state.partitions != 1 {
		err = fmt.Errorf("topic %s: it has %d partitions, and all that is said of projectors must be in one order: delete it once no rebuild is under way, and it is created with 1", p.topic, state.partitions)
	}
	return found[p.topic].id, err
}

// Projections is a projector's topic that has been checked.
type Projections struct {
	Partitions int32
	MaxBytes   int32 // of a batch of records after compression
}

// EnsureProjections does the same for a projector's topic.
func EnsureProjections(ctx context.Context, client *kgo.Client, projector string, s TopicSettings) (Projections, error) {
	return ensureProjections(ctx, client, projector, ProjectionsTopic(projector), s)
}

// EnsureStagedProjections does the same for those of a version that is not shown.
func EnsureStagedProjections(ctx context.Context, client *kgo.Client, projector string, version uint32, s TopicSettings) (Projections, error) {
	return ensureProjections(ctx, client, projector, StagedProjectionsTopic(projector, version), s)
}

func ensureProjections(ctx context.Context, client *kgo.Client, projector, topic string, s TopicSettings) (Projections, error) {
	p := projectionsPolicy(topic)
	found, err := ensureTopics(ctx, kadm.NewClient(client), []policy{p}, s)
	if err != nil {
		return Projections{}, fmt.Errorf("projector %s: %w", projector, err)
	}
	state := found[p.topic]
	return Projections{state.partitions, int32(state.number("max.message.bytes"))}, nil
}

// Domains are the names of all domains on the cluster, each with its number of
// partitions. A domain is there once its commands and events topics are.
func Domains(ctx context.Context, client *kgo.Client) (map[string]int32, error) {
	topics, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	domains := make(map[string]int32)
	for name, topic := range topics {
		domain, ok := DomainOf(name)
		if ok && len(topic.Partitions) > 0 && topics.Has(EventsTopic(domain)) {
			domains[domain] = int32(len(topic.Partitions))
		}
	}
	return domains, nil
}

// AllProjections gives the topics that projectors publish to, each with its number
// of partitions.
func AllProjections(ctx context.Context, client *kgo.Client) (map[string]int32, error) {
	topics, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the topics of projections: %w", err)
	}
	found := make(map[string]int32)
	for name, topic := range topics {
		if strings.HasPrefix(name, prefix+projections+".") {
			found[name] = int32(len(topic.Partitions))
		}
	}
	return found, nil
}

func ensureTopics(ctx context.Context, admin *kadm.Client, policies []policy, s TopicSettings) (map[string]topicState, error) {
	if err := createMissing(ctx, admin, policies, s); err != nil {
		return nil, err
	}
	found, err := describe(ctx, admin, policies)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, p := range policies {
		errs = append(errs, p.check(found[p.topic]))
	}
	errs = append(errs, checkTogether(policies, found))
	// One line: what comes after the first is often its consequence.
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	return found, nil
}

func domainOf(name string, found map[string]topicState) Domain {
	commands, events := found[CommandsTopic(name)], found[EventsTopic(name)]
	return Domain{
		Name:               name,
		Partitions:         events.partitions,
		CommandsID:         commands.id,
		EventsID:           events.id,
		CommandsMaxBytes:   int32(commands.number("max.message.bytes")),
		EventsMaxBytes:     int32(events.number("max.message.bytes")),
		CommandsRetention:  duration(commands.number("retention.ms"), time.Millisecond),
		TombstoneRetention: tombstonesOf(events),
	}
}

// tombstonesOf is Kafka's default where brokers don't say.
func tombstonesOf(events topicState) time.Duration {
	if ms := events.number("delete.retention.ms"); ms >= 0 {
		return duration(ms, time.Millisecond)
	}
	return day
}

var errNotYet = errors.New("the brokers don't know it yet")
