package log_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
)

const week = 7 * 24 * time.Hour

func TestEnsureDomainCreatesWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	client, domain := b.Client(t), b.Domain("order")

	d := ensure(t, client, domain, 3)
	if d.Name != domain || d.Partitions != 3 {
		t.Errorf("domain %s with %d partitions, want %s with 3", d.Name, d.Partitions, domain)
	}
	if d.CommandsID == ([16]byte{}) {
		t.Error("the commands topic has no id")
	}
	if d.CommandsMaxBytes != 1048588 || d.EventsMaxBytes != 1048588 {
		t.Errorf("batches of %d and %d bytes, want Kafka's default of 1048588", d.CommandsMaxBytes, d.EventsMaxBytes)
	}
	if d.CommandsRetention != week || d.TombstoneRetention != week {
		t.Errorf("commands are kept for %v, tombstones for %v, want %v", d.CommandsRetention, d.TombstoneRetention, week)
	}
	for topic, want := range map[string]map[string]string{
		log.CommandsTopic(domain):    {"cleanup.policy": "delete", "retention.ms": "604800000", "unclean.leader.election.enable": "false"},
		log.EventsTopic(domain):      {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.95", "max.compaction.lag.ms": "604800000", "message.timestamp.type": "CreateTime"},
		log.OutcomesTopic(domain):    {"cleanup.policy": "delete", "retention.ms": "86400000"},
		log.DeadLettersTopic(domain): {"cleanup.policy": "compact"},
	} {
		for key, value := range want {
			if got := config(t, client, topic)[key]; got != value {
				t.Errorf("%s: %s is %q, want %q", topic, key, got, value)
			}
		}
	}

	again := ensure(t, client, domain, 12)
	if again != d {
		t.Errorf("the second time it is %+v, want %+v: what exists wins", again, d)
	}
}

func TestEnsureDomainAddsToWhatExists(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	client, domain := b.Client(t), b.Domain("order")
	b.CreateTopic(t, log.OutcomesTopic(domain), 5, "cleanup.policy", "delete")
	if d := ensure(t, client, domain, 3); d.Partitions != 5 {
		t.Errorf("%d partitions, want the 5 of the topic that was there", d.Partitions)
	}
}

func TestEnsureDomainByManyAtOnce(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	domain := b.Domain("order")
	const many = 8
	domains, errs := make([]log.Domain, many), make([]error, many)
	var group sync.WaitGroup
	for i := range many {
		client := b.Client(t)
		group.Go(func() {
			domains[i], errs[i] = log.EnsureDomain(t.Context(), client, domain, log.TopicSettings{Partitions: int32(1 + i)})
		})
	}
	group.Wait()
	for i := range many {
		if errs[i] != nil {
			t.Errorf("process %d: %v", i, errs[i])
		} else if domains[i] != domains[0] {
			t.Errorf("process %d has %+v, process 0 has %+v", i, domains[i], domains[0])
		}
	}
}

func TestEnsureDomainRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		topic      func(domain string) string
		partitions int32
		config     []string
		says       []string
	}{
		"events deleted by time":    {log.EventsTopic, 2, []string{"cleanup.policy", "delete"}, []string{"cleanup.policy", `"delete"`, `"compact"`, "lost"}},
		"events deleted as well":    {log.EventsTopic, 2, []string{"cleanup.policy", "compact,delete"}, []string{"cleanup.policy", "delete", `set it to "compact"`}},
		"commands compacted":        {log.CommandsTopic, 2, []string{"cleanup.policy", "compact"}, []string{"cleanup.policy", `"compact"`, `"delete"`}},
		"outcomes compacted":        {log.OutcomesTopic, 2, []string{"cleanup.policy", "compact"}, []string{"cleanup.policy", `"compact"`, `"delete"`}},
		"dead letters deleted":      {log.DeadLettersTopic, 2, []string{"cleanup.policy", "delete"}, []string{"cleanup.policy", `"delete"`, `"compact"`}},
		"commands outlive offsets":  {log.CommandsTopic, 2, []string{"retention.ms", "1209600000"}, []string{"retention.ms", "1209600000", "offsets.retention.minutes is 10080", "604800000 or less"}},
		"commands are kept forever": {log.CommandsTopic, 2, []string{"retention.ms", "-1"}, []string{"retention.ms", "-1", "604800000 or less"}},
		"more commands partitions":  {log.CommandsTopic, 3, nil, []string{"3 partitions", "has 2", "delete it once"}},
		"fewer outcomes partitions": {log.OutcomesTopic, 1, []string{"cleanup.policy", "delete"}, []string{"1 partitions", "has 2", "add partitions until it has 2"}},
		"more replicas in sync":     {log.EventsTopic, 2, []string{"cleanup.policy", "compact", "min.insync.replicas", "2"}, []string{"min.insync.replicas is 2", "1 or less"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := logtest.Start(t)
			client, domain := b.Client(t), b.Domain("order")
			if topic := row.topic(domain); topic != log.EventsTopic(domain) {
				b.CreateTopic(t, log.EventsTopic(domain), 2, "cleanup.policy", "compact")
			}
			b.CreateTopic(t, row.topic(domain), row.partitions, row.config...)
			_, err := log.EnsureDomain(t.Context(), client, domain, log.TopicSettings{Partitions: 2})
			wantError(t, err, append(row.says, row.topic(domain))...)
		})
	}
}

func TestEnsureDomainRefusesWrongSettings(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	client := b.Client(t)
	_, err := log.EnsureDomain(t.Context(), client, "No Domain", log.TopicSettings{Partitions: 1})
	wantError(t, err, "lower-case")
	_, err = log.EnsureDomain(t.Context(), client, b.Domain("a"), log.TopicSettings{})
	wantError(t, err, "log.partitions is 0")
	_, err = log.EnsureDomain(t.Context(), client, b.Domain("a"), log.TopicSettings{Partitions: 1, ReplicationFactor: 7})
	wantError(t, err, "log.replication_factor is 7")
}

// Some brokers that are run as a service refuse settings that only tune.
func TestEnsureDomainWithoutTuning(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	b.RequireFake(t)
	b.Fake.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.PolicyViolation, Count: -1,
		When: func(r kmsg.Request) bool {
			for _, topic := range r.(*kmsg.CreateTopicsRequest).Topics {
				for _, c := range topic.Configs {
					if c.Name == "unclean.leader.election.enable" {
						return true
					}
				}
			}
			return false
		},
	})
	client, domain := b.Client(t), b.Domain("order")
	ensure(t, client, domain, 2)
	if got := config(t, client, log.EventsTopic(domain))["cleanup.policy"]; got != "compact" {
		t.Errorf("cleanup.policy of events is %q", got)
	}
}

func TestEnsureDomainMayNotCreate(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	b.RequireFake(t)
	b.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	_, err := log.EnsureDomain(t.Context(), b.Client(t), b.Domain("order"), log.TopicSettings{Partitions: 2})
	wantError(t, err, "may not create", "2 partitions", "cleanup.policy=compact")
}

func TestCommandsRetentionFollowsShortOffsetsRetention(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t, kfake.BrokerConfigs(map[string]string{"offsets.retention.minutes": "1440"}))
	if d := ensure(t, b.Client(t), b.Domain("order"), 1); d.CommandsRetention != 24*time.Hour {
		t.Errorf("commands are kept for %v, offsets for 24h", d.CommandsRetention)
	}
}

func TestEnsureReplies(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	client := b.Client(t)
	first, err := log.EnsureReplies(t.Context(), client, log.TopicSettings{Partitions: 4})
	if err != nil {
		t.Fatal(err)
	}
	again, err := log.EnsureReplies(t.Context(), client, log.TopicSettings{Partitions: 9})
	if err != nil || again != first {
		t.Errorf("the second time %d partitions, %v; want the first's %d", again, err, first)
	}
	if got := config(t, client, log.RepliesTopic); got["cleanup.policy"] != "delete" || got["retention.ms"] != "900000" {
		t.Errorf("cleanup.policy %q, retention.ms %q", got["cleanup.policy"], got["retention.ms"])
	}
}

func TestDomains(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	client := b.Client(t)
	ensure(t, client, b.Domain("order"), 3)
	ensure(t, client, b.Domain("stock"), 1)
	b.CreateTopic(t, log.CommandsTopic(b.Domain("half")), 1)

	found, err := log.Domains(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]int32{b.Domain("order"): 3, b.Domain("stock"): 1, b.Domain("half"): 0} {
		if found[domain] != want {
			t.Errorf("%s has %d partitions, want %d", domain, found[domain], want)
		}
	}
}

func ensure(t *testing.T, client *kgo.Client, domain string, partitions int32) log.Domain {
	t.Helper()
	d, err := log.EnsureDomain(t.Context(), client, domain, log.TopicSettings{Partitions: partitions, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func config(t *testing.T, client *kgo.Client, topic string) map[string]string {
	t.Helper()
	found, err := kadm.NewClient(client).DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, c := range found[0].Configs {
		all[c.Key] = c.MaybeValue()
	}
	if len(all) == 0 {
		t.Fatal(fmt.Errorf("no settings of %s: %w", topic, found[0].Err))
	}
	return all
}
