package log_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
)

func TestFirstOffsetsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	client, domain := b.Client(t), b.Domain("order")
	ensure(t, client, domain, 3)
	wantOffsets(t, client, domain, map[int32]int64{0: 0, 1: 0, 2: 0})

	produce(t, b, log.CommandsTopic(domain), 1, 2)
	commit(t, client, domain, 1, 2)
	ensure(t, client, domain, 3)
	wantOffsets(t, client, domain, map[int32]int64{0: 0, 1: 2, 2: 0})
}

// A committed offset may be ahead of a log that lost its end, or that was
// never written: it is not for us to take it back.
func TestFirstOffsetsNeverReplaceOne(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	client, domain := b.Client(t), b.Domain("order")
	b.CreateTopic(t, log.CommandsTopic(domain), 2)
	commit(t, client, domain, 0, 7)
	ensure(t, client, domain, 2)
	wantOffsets(t, client, domain, map[int32]int64{0: 7, 1: 0})
}

func TestFirstOffsetsOnlyWhereNothingWasWritten(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	client, domain := b.Client(t), b.Domain("order")
	topic := log.CommandsTopic(domain)
	b.CreateTopic(t, topic, 3)
	produce(t, b, topic, 0, 1)
	produce(t, b, topic, 1, 4)
	empty(t, client, topic, 1)

	ensure(t, client, domain, 3)
	wantOffsets(t, client, domain, map[int32]int64{2: 0})
}

func TestFirstOffsetsBesideAnActiveGroup(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	domain := b.Domain("order")
	b.CreateTopic(t, log.CommandsTopic(domain), 2)
	join(t, b, domain)

	client := b.Client(t)
	ensure(t, client, domain, 2)
	wantOffsets(t, client, domain, map[int32]int64{})
}

// join returns once the group has a member with partitions, which is until the
// test ends. The session timeout is the shortest that brokers allow.
func join(t *testing.T, b *logtest.Broker, domain string) {
	t.Helper()
	assigned := make(chan struct{}, 1)
	b.Client(t,
		kgo.ConsumerGroup(log.Group(domain)),
		kgo.ConsumeTopics(log.CommandsTopic(domain)),
		kgo.SessionTimeout(6*time.Second),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { assigned <- struct{}{} }),
	)
	select {
	case <-assigned:
	case <-time.After(20 * time.Second):
		t.Fatal("no partitions are assigned")
	}
}

func produce(t *testing.T, b *logtest.Broker, topic string, partition int32, count int) {
	t.Helper()
	client := b.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for range count {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte("command")}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func commit(t *testing.T, client *kgo.Client, domain string, partition int32, at int64) {
	t.Helper()
	offsets := make(kadm.Offsets)
	offsets.AddOffset(log.CommandsTopic(domain), partition, at, -1)
	if err := kadm.NewClient(client).CommitAllOffsets(t.Context(), log.Group(domain), offsets); err != nil {
		t.Fatal(err)
	}
}

// empty does to a partition what retention does in time.
func empty(t *testing.T, client *kgo.Client, topic string, partition int32) {
	t.Helper()
	offsets := make(kadm.Offsets)
	offsets.AddOffset(topic, partition, -1, -1)
	deleted, err := kadm.NewClient(client).DeleteRecords(t.Context(), offsets)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func wantOffsets(t *testing.T, client *kgo.Client, domain string, want map[int32]int64) {
	t.Helper()
	committed, err := kadm.NewClient(client).FetchOffsets(t.Context(), log.Group(domain))
	if err != nil && len(want) > 0 {
		t.Fatal(err)
	}
	got := make(map[int32]int64)
	for partition, o := range committed[log.CommandsTopic(domain)] {
		if o.At >= 0 {
			got[partition] = o.At
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("committed offsets by partition are %v, want %v", got, want)
	}
}
