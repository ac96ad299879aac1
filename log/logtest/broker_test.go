package logtest

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
)

func TestReadCommittedLeavesOutAborted(t *testing.T) {
	t.Parallel()
	b := Start(t)
	topic := "angzarr." + b.Domain("read") + ".events"
	b.CreateTopic(t, topic, 2)
	client := b.Client(t, kgo.TransactionalID(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))

	transaction(t, client, kgo.TryCommit, record(topic, 1, "a"), record(topic, 0, "b"))
	transaction(t, client, kgo.TryAbort, record(topic, 1, "gone"))
	transaction(t, client, kgo.TryCommit, record(topic, 1, "c"))
	transaction(t, client, kgo.TryAbort, record(topic, 0, "gone"))

	if got, want := values(ReadCommitted(t, b.Cluster, topic)), "b a c"; got != want {
		t.Errorf("committed: %q, want %q", got, want)
	}
	if got, want := values(ReadUncommitted(t, b.Cluster, topic)), "b gone a gone c"; got != want {
		t.Errorf("uncommitted: %q, want %q", got, want)
	}
}

func TestReadCommittedOfNothing(t *testing.T) {
	t.Parallel()
	b := Start(t)
	topic := "angzarr." + b.Domain("nothing") + ".events"
	b.CreateTopic(t, topic, 3)
	if got := ReadCommitted(t, b.Cluster, topic); len(got) != 0 {
		t.Errorf("read %d records from an empty topic", len(got))
	}
}

func TestDomainsOfTwoTestsDiffer(t *testing.T) {
	a, b := &Broker{suffix: suffix()}, &Broker{suffix: suffix()}
	if a.Domain("x") == b.Domain("x") {
		t.Errorf("two tests share the domain %s", a.Domain("x"))
	}
	first := a.Domain("x")
	if again := a.Domain("x"); again != first {
		t.Errorf("within one test %s becomes %s", first, again)
	}
}

func TestSweepDeletesWhatTheTestMade(t *testing.T) {
	t.Parallel()
	b := Start(t)
	topic := "angzarr." + b.Domain("sweep") + ".events"
	b.CreateTopic(t, topic, 1)
	admin := kadm.NewClient(b.Client(t))
	if err := admin.CommitAllOffsets(t.Context(), "angzarr."+b.Domain("sweep"), kadm.OffsetsFromRecords(*record(topic, 0, ""))); err != nil {
		t.Fatal(err)
	}

	b.sweep(t)

	// Brokers list a deleted topic for a moment longer.
	deadline := time.Now().Add(10 * time.Second)
	for left := remaining(t, b, admin); len(left) > 0; left = remaining(t, b, admin) {
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %v", left)
		}
	}
}

func remaining(t *testing.T, b *Broker, admin *kadm.Client) []string {
	t.Helper()
	topics, err := admin.ListTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	groups, err := admin.ListGroups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.mine(append(topics.Names(), groups.Groups()...))
}

func transaction(t *testing.T, client *kgo.Client, end kgo.TransactionEndTry, records ...*kgo.Record) {
	t.Helper()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := log.Enter(t.Context(), client, records[0].Topic, records[0].Partition); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

func record(topic string, partition int32, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}
}

func values(records []*kgo.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, string(r.Value))
	}
	return strings.Join(all, " ")
}
