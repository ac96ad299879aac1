package doctor

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

// expect wants exactly one finding that is not fine, of that level, and advice.
func expect(t *testing.T, found []Finding, level Level, says, do string) {
	t.Helper()
	var bad []Finding
	for _, f := range found {
		if (f.Do == "") != (f.Level == Fine) {
			t.Errorf("%+v: what is fine needs no advice, all else does", f)
		}
		if f.Level != Fine {
			bad = append(bad, f)
		}
	}
	if level == Fine {
		if len(bad) > 0 || len(found) == 0 {
			t.Errorf("found %+v", found)
		}
		return
	}
	if len(bad) != 1 || bad[0].Level != level || !strings.Contains(bad[0].Says, says) || !strings.Contains(bad[0].Do, do) {
		t.Errorf("found %+v, want one that is %s: %s → %s", bad, level, says, do)
	}
}

func TestBrokers(t *testing.T) {
	type edit = func(b *log.BrokerState)
	set := func(key, value string) edit { return func(b *log.BrokerState) { b.Settings[key] = value } }
	for _, tc := range []struct {
		name  string
		edit  edit
		level Level
		says  string
		do    string
	}{
		{"fine", func(*log.BrokerState) {}, Fine, "", ""},
		{"away", func(b *log.BrokerState) { b.Err = errors.New("refused") }, Wrong, "does not answer: refused", "advertised.listeners"},
		{"old", func(b *log.BrokerState) { b.Fences = false }, Wrong, "without the member's generation", "2.5"},
		{"old transactions", func(b *log.BrokerState) { b.TransactionVersion = 1 }, Advice, "transaction.version is 1", "--feature transaction.version=2"},
		{"a slow retry", set("add.partitions.to.txn.retry.backoff.ms", "20"), Advice, "add.partitions.to.txn.retry.backoff.ms is 20", "=1"},
		{"long sessions only", set("group.min.session.timeout.ms", "10000"), Wrong, "group.min.session.timeout.ms is 10000", "6000 or less"},
		{"short sessions only", set("group.max.session.timeout.ms", "5000"), Wrong, "group.max.session.timeout.ms is 5000", "6000 or more"},
		{"short transactions only", set("transaction.max.timeout.ms", "9000"), Wrong, "transaction.max.timeout.ms is 9000", "10000 or more"},
		{"short memory", set("offsets.retention.minutes", "1440"), Advice, "offsets.retention.minutes is 1440", "10080 or more"},
		{"nothing is told", func(b *log.BrokerState) { b.Settings = nil }, Fine, "", ""},
		{"a full disk", func(b *log.BrokerState) { b.Total, b.Free = 1000, 49 }, Wrong, "has 4 % of its disk left", "make room"},
		{"a disk that fills up", func(b *log.BrokerState) { b.Total, b.Free = 1000, 149 }, Advice, "has 14 % of its disk left", "make room"},
		{"room enough", func(b *log.BrokerState) { b.Total, b.Free = 1000, 150 }, Fine, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var brokers []log.BrokerState
			for id := range int32(2) {
				brokers = append(brokers, log.BrokerState{ID: id, Fences: true, TransactionVersion: 2, Version: "v4.1", Settings: map[string]string{
					"add.partitions.to.txn.retry.backoff.ms": "1", "group.min.session.timeout.ms": "6000", "group.max.session.timeout.ms": "1800000",
					"transaction.max.timeout.ms": "900000", "offsets.retention.minutes": "10080",
				}})
			}
			tc.edit(&brokers[1]) // the worst one counts
			expect(t, judgeBrokers(brokers), tc.level, tc.says, tc.do)
		})
	}
	t.Run("copies of what commits rest on", func(t *testing.T) {
		three := make([]log.BrokerState, 3)
		for i := range three {
			three[i] = log.BrokerState{Fences: true, TransactionVersion: 2, Settings: map[string]string{"offsets.topic.replication.factor": "1"}}
		}
		expect(t, judgeBrokers(three), Advice, "offsets.topic.replication.factor is 1", "set it to 3")
	})
}

// stock are the topics of a domain that is as it must be, on three brokers.
func stock() map[string]log.TopicState {
	all := make(map[string]log.TopicState)
	for _, name := range log.DomainTopics("stock") {
		settings := map[string]string{
			"cleanup.policy": "delete", "retention.ms": "86400000", "min.insync.replicas": "2", "unclean.leader.election.enable": "false",
			"delete.retention.ms": "604800000", "max.compaction.lag.ms": "604800000",
		}
		if strings.HasSuffix(name, ".events") || strings.HasSuffix(name, ".dead-letters") {
			settings["cleanup.policy"] = "compact"
		}
		all[name] = log.TopicState{Name: name, Partitions: 6, Replicas: 3, Settings: settings}
	}
	return all
}

func TestTopics(t *testing.T) {
	events, commands := log.EventsTopic("stock"), log.CommandsTopic("stock")
	change := func(name string, edit func(*log.TopicState)) func(map[string]log.TopicState) {
		return func(all map[string]log.TopicState) {
			topic := all[name]
			edit(&topic)
			all[name] = topic
		}
	}
	set := func(name, key, value string) func(map[string]log.TopicState) {
		return change(name, func(t *log.TopicState) { t.Settings[key] = value })
	}
	for _, tc := range []struct {
		name  string
		edit  func(map[string]log.TopicState)
		level Level
		says  string
		do    string
	}{
		{"fine", func(map[string]log.TopicState) {}, Fine, "", ""},
		{"events that are deleted", set(events, "cleanup.policy", "delete"), Wrong, "pages would be lost with time", `set it to "compact"`},
		{"events that are deleted as well", set(events, "cleanup.policy", "compact,delete"), Wrong, "pages would be lost with time", `set it to "compact"`},
		{"commands that outlive offsets", set(commands, "retention.ms", "604800001"), Wrong, "longer than committed offsets are kept", "604800000 or less"},
		{"more partitions", change(commands, func(t *log.TopicState) { t.Partitions = 7 }), Wrong, "has 7 partitions and", "is created with 6"},
		{"fewer partitions", change(commands, func(t *log.TopicState) { t.Partitions = 5 }), Wrong, "has 5 partitions and", "add partitions until it has 6"},
		{"nothing can be written", set(events, "min.insync.replicas", "4"), Wrong, "nothing could be written", "3 or less"},
		{"one in sync is enough", set(events, "min.insync.replicas", "1"), Advice, "min.insync.replicas is 1", "to 2"},
		{"a single copy", change(events, func(t *log.TopicState) { t.Replicas = 1; t.Settings["min.insync.replicas"] = "1" }), Advice, "single copy", "log.replication_factor: 3"},
		{"no leader", change(events, func(t *log.TopicState) { t.Leaderless = []int32{2} }), Wrong, "[2] have no leader", "start the brokers"},
		{"behind", change(events, func(t *log.TopicState) { t.Behind = []int32{2, 3} }), Advice, "[2 3] have copies that lag behind", "caught up"},
		{"unclean elections", set(events, "unclean.leader.election.enable", "true"), Wrong, "may become leader", "false"},
		{"a missing topic", func(all map[string]log.TopicState) { delete(all, log.OutcomesTopic("stock")) }, Advice, "is missing", "start a process"},
		{"erasure without a date", set(events, "max.compaction.lag.ms", "9223372036854775807"), Advice, "longer than a month", "604800000"},
		{"tombstones for hours", set(events, "delete.retention.ms", "3600000"), Advice, "made anew", "604800000"},
		{"no domain", func(all map[string]log.TopicState) { clear(all) }, Fine, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := stock()
			tc.edit(all)
			var topics []log.TopicState
			for _, one := range all {
				topics = append(topics, one)
			}
			expect(t, judgeTopics(topics, 3, 7*24*time.Hour), tc.level, tc.says, tc.do)
		})
	}
}

func TestClocks(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) []log.TopicState {
		return []log.TopicState{{Name: "a", Newest: now.Add(-time.Hour)}, {Name: "b", Newest: now.Add(d)}}
	}
	expect(t, judgeWriters(at(time.Second), now), Fine, "", "")
	expect(t, judgeWriters(at(3*time.Second), now), Advice, "of b was written 3s in the future", "NTP")
	expect(t, judgeWriters(at(time.Minute), now), Wrong, "of b was written 1m0s in the future", "NTP")
	if found := judgeWriters([]log.TopicState{{}}, now); found != nil {
		t.Errorf("of no records: %v", found)
	}
}

func TestGroups(t *testing.T) {
	now := time.Now()
	fine := group{name: "g", topic: "t", processes: 2}
	for _, tc := range []struct {
		name  string
		edit  func(*group)
		level Level
		says  string
		do    string
	}{
		{"fine", func(*group) {}, Fine, "", ""},
		{"forgotten", func(g *group) { g.forgotten = []int32{1} }, Wrong, "has no committed offset of partitions [1]", "log.missing_offsets"},
		{"nobody", func(g *group) { g.processes, g.unowned = 0, []int32{0, 1} }, Advice, "nobody is a member", "start a process"},
		{"unowned", func(g *group) { g.unowned = []int32{1} }, Advice, "nobody owns partitions [1]", "angzarr owners"},
		{"behind", func(g *group) { g.since = now.Add(-2 * time.Minute) }, Advice, "waits since 2m0s", "angzarr lag"},
		{"not long behind", func(g *group) { g.since = now.Add(-time.Second) }, Fine, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := fine
			tc.edit(&g)
			expect(t, judgeGroups([]group{g}, now), tc.level, tc.says, tc.do)
		})
	}
	open := []partitioning.OpenTransaction{{ID: "new", Since: now.Add(-time.Second)}}
	expect(t, judgeTransactions(open, now), Fine, "", "")
	open = append(open, partitioning.OpenTransaction{ID: "old", Since: now.Add(-time.Hour)})
	expect(t, judgeTransactions(open, now), Wrong, "is open since 1h0m0s", "kafka-transactions.sh")
}

func TestRedis(t *testing.T) {
	refused := fmt.Errorf("%w: Redis at a can't hold the shelf: its maxmemory-policy is allkeys-lru, so that single books may vanish and their aggregates would look new: set maxmemory-policy noeviction there", snapshots.ErrRefused)
	expect(t, judgeRedis("a", snapshots.Inspection{Version: "8"}, nil), Fine, "", "")
	expect(t, judgeRedis("a", snapshots.Inspection{}, refused), Wrong, "maxmemory-policy is allkeys-lru", "set maxmemory-policy noeviction")
	expect(t, judgeRedis("a", snapshots.Inspection{}, errors.New("refused")), Wrong, "does not answer: refused", "snapshots.address")
	expect(t, judgeRedis("a", snapshots.Inspection{Used: 91, Memory: 100}, nil), Advice, "91 of 100 bytes", "maxmemory")
	expect(t, judgeRedis("a", snapshots.Inspection{Ahead: -5 * time.Second}, nil), Advice, "5s apart", "NTP")
	expect(t, judgeRedis("a", snapshots.Inspection{Ahead: time.Minute}, nil), Wrong, "1m0s apart", "NTP")
}

func TestServices(t *testing.T) {
	s := Service{Title: "business logic", Address: "a", Serves: "angzarr.BusinessLogic"}
	judge := func(services []string, err error) []Finding {
		return []Finding{judgeService(s, services, time.Millisecond, err)}
	}
	expect(t, judge([]string{"x", "angzarr.BusinessLogic"}, nil), Fine, "", "")
	expect(t, judge([]string{"angzarr.Saga"}, nil), Wrong, "serves angzarr.Saga, and not angzarr.BusinessLogic", "right service")
	expect(t, judge(nil, status.Error(codes.Unimplemented, "unknown service")), Advice, "has no gRPC reflection", "server reflection")
	expect(t, judge(nil, status.Error(codes.Internal, "broke")), Advice, "can't tell what it serves", "log")
}

func TestPeers(t *testing.T) {
	judge := func(v visit) []Finding { return []Finding{judgePeer("a", []string{"one", "two"}, v)} }
	expect(t, judge(visit{}), Fine, "", "")
	expect(t, judge(visit{incarnations: []string{"two"}}), Fine, "", "")
	expect(t, judge(visit{incarnations: []string{"three"}}), Advice, "another process", "peers.advertise")
	expect(t, judge(visit{err: errors.New("refused")}), Wrong, "can't be reached from here: refused", "peers.advertise")
}
