package log

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// BrokerState is what one broker says of itself.
type BrokerState struct {
	ID      int32
	Address string
	// Err is why it doesn't say anything.
	Err error
	// Version is the Kafka that it seems to be, by the requests it takes.
	Version string
	// TransactionVersion is the cluster's finalized transaction.version.
	TransactionVersion int16
	// Fences says that an offset commit carries the member's generation.
	Fences bool
	// Settings are empty where this user may not see them.
	Settings map[string]string
	// Total and Free are bytes of the volume of its fullest log directory, 0
	// where it doesn't say.
	Total, Free int64
}

// Brokers asks each broker of the cluster.
func (a *Admin) Brokers(ctx context.Context) ([]BrokerState, error) {
	admin := kadm.NewClient(a.client)
	meta, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the cluster's brokers: %w", err)
	}
	versions, err := admin.ApiVersions(ctx)
	if err != nil && len(versions) == 0 {
		return nil, fmt.Errorf("ask brokers for their versions: %w", err)
	}
	var all []BrokerState
	for _, b := range meta.Brokers {
		v := versions[b.NodeID]
		s := BrokerState{ID: b.NodeID, Address: b.Host + ":" + strconv.Itoa(int(b.Port)), Err: v.Err}
		if v.Err == nil && v.Raw() != nil {
			highest, _ := v.KeyMaxVersion(kmsg.TxnOffsetCommit.Int16())
			s.Version, s.Fences = v.VersionGuess(), highest >= fencedOffsetCommit
			s.TransactionVersion = transactionVersion(v.Raw())
			s.Settings = settingsOf(ctx, admin, b.NodeID)
		}
		all = append(all, s)
	}
	dirs, err := admin.DescribeAllLogDirs(ctx, nil)
	if err != nil && len(dirs) == 0 {
		return all, nil // not everybody may, and not every broker tells
	}
	for i := range all {
		for _, dir := range dirs[all[i].ID] {
			if s := &all[i]; dir.TotalBytes > 0 && (s.Total == 0 || dir.UsableBytes < s.Free) {
				s.Total, s.Free = dir.TotalBytes, dir.UsableBytes
			}
		}
	}
	return all, nil
}

// settingsOf gives what a broker tells this user.
func settingsOf(ctx context.Context, admin *kadm.Client, broker int32) map[string]string {
	settings := make(map[string]string)
	configs, err := admin.DescribeBrokerConfigs(ctx, broker)
	if err != nil {
		return settings
	}
	for _, of := range configs {
		for _, c := range of.Configs {
			if c.Value != nil {
				settings[c.Key] = *c.Value
			}
		}
	}
	return settings
}

// TopicState is what the brokers say of a topic.
type TopicState struct {
	Name       string
	Partitions int32
	Replicas   int // of each partition
	// Leaderless have no leader. Behind have replicas that are not in sync.
	Leaderless, Behind []int32
	Settings           map[string]string
	// Offsets is how many the partitions hold: records, those that compaction
	// took, and the markers of transactions.
	Offsets int64
	// Bytes on the brokers' disks, all replicas together; -1 where they don't say.
	Bytes int64
	// Newest is the latest time of a record, by the clock of who wrote it; zero
	// if there is none, or brokers don't say.
	Newest time.Time
}

// Setting is a setting's number, -1 if it is missing or no number.
func (t TopicState) Setting(key string) int64 { return t.state().number(key) }

func (t TopicState) state() topicState {
	return topicState{partitions: t.Partitions, replicas: t.Replicas, config: t.Settings}
}

// Topics tells of all topics of Angzarr's, in order of their names.
func (a *Admin) Topics(ctx context.Context) ([]TopicState, error) {
	admin := kadm.NewClient(a.client)
	details, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	all := make(map[string]*TopicState)
	var names []string
	for name, detail := range details {
		if strings.HasPrefix(name, prefix) && detail.Err == nil {
			names = append(names, name)
			all[name] = stateOfTopic(detail)
		}
	}
	if len(names) == 0 {
		return nil, nil // the client would describe all there are
	}
	if err := describeTopics(ctx, admin, names, all); err != nil {
		return nil, err
	}
	found := make([]TopicState, 0, len(all))
	for _, t := range all {
		found = append(found, *t)
	}
	slices.SortFunc(found, func(a, b TopicState) int { return cmp.Compare(a.Name, b.Name) })
	return found, nil
}

func stateOfTopic(detail kadm.TopicDetail) *TopicState {
	t := &TopicState{
		Name: detail.Topic, Partitions: int32(len(detail.Partitions)), Replicas: detail.Partitions.NumReplicas(),
		Settings: make(map[string]string), Bytes: -1,
	}
	for _, p := range detail.Partitions.Sorted() {
		if p.Leader < 0 {
			t.Leaderless = append(t.Leaderless, p.Partition)
		}
		if len(p.ISR) < len(p.Replicas) {
			t.Behind = append(t.Behind, p.Partition)
		}
	}
	return t
}

// describeTopics adds settings, sizes and times. Of these only the settings are
// told by every broker to everybody.
func describeTopics(ctx context.Context, admin *kadm.Client, names []string, all map[string]*TopicState) error {
	configs, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return fmt.Errorf("describe settings of topics: %w", err)
	}
	for _, of := range configs {
		for _, c := range of.Configs {
			all[of.Name].Settings[c.Key] = c.MaybeValue()
		}
	}
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil && len(starts) == 0 {
		return fmt.Errorf("list starts of topics: %w", err)
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err != nil && len(ends) == 0 {
		return fmt.Errorf("list ends of topics: %w", err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		if t := all[end.Topic]; t != nil && end.Err == nil && start.Err == nil {
			t.Offsets += end.Offset - start.Offset
		}
	})
	newest, _ := admin.ListMaxTimestampOffsets(ctx, names...)
	newest.Each(func(o kadm.ListedOffset) {
		if t := all[o.Topic]; t != nil && o.Err == nil && o.Offset >= 0 && o.Timestamp > t.Newest.UnixMilli() {
			t.Newest = time.UnixMilli(o.Timestamp)
		}
	})
	dirs, _ := admin.DescribeAllLogDirs(ctx, nil)
	for _, of := range dirs {
		for _, dir := range of {
			for name, partitions := range dir.Topics {
				t := all[name]
				if t == nil {
					continue
				}
				t.Bytes = max(0, t.Bytes)
				for _, p := range partitions {
					t.Bytes += p.Size
				}
			}
		}
	}
	return nil
}

// DomainTopics are the names of a domain's topics, that of its events first.
func DomainTopics(domain string) []string { return names(domainPolicies(domain, 0)) }

// JudgeDomain says all that is wrong with those of a domain's topics that are
// there. [EnsureDomain] refuses a domain for any of it.
func JudgeDomain(domain string, topics map[string]TopicState, offsetsRetention time.Duration) (wrong []error) {
	var there []policy
	found := make(map[string]topicState)
	for _, p := range domainPolicies(domain, offsetsRetention) {
		t, ok := topics[p.topic]
		if !ok {
			continue
		}
		there = append(there, p)
		found[p.topic] = t.state()
		if err := p.check(found[p.topic]); err != nil {
			wrong = append(wrong, err)
		}
	}
	for i := 1; i < len(there); i++ {
		if err := checkTogether([]policy{there[0], there[i]}, found); err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong
}
