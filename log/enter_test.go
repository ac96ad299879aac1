package log_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
)

// late holds the client up, while it hands the first records of a topic on, at
// the one for partition 1.
type late struct {
	kgo.Partitioner
	release chan struct{}
}

func (l late) ForTopic(topic string) kgo.TopicPartitioner {
	return lateTopic{l.Partitioner.ForTopic(topic), l.release}
}

type lateTopic struct {
	kgo.TopicPartitioner
	release chan struct{}
}

func (l lateTopic) Partition(r *kgo.Record, n int) int {
	if r.Partition == 1 {
		<-l.release
	}
	return l.TopicPartitioner.Partition(r, n)
}

// The records of a topic that is new to a client are acknowledged before the
// client has the topic on its books. A commit is an abort then, and is well.
func TestFirstTransactionOfATopic(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	begin := func(topic string) (_ *kgo.Client, release func()) {
		b.CreateTopic(t, topic, 2)
		hold := late{kgo.ManualPartitioner(), make(chan struct{})}
		client := b.Client(t, kgo.TransactionalID(topic), kgo.RecordPartitioner(hold))
		if err := client.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		acknowledged := make(chan error, 1)
		client.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: 0, Value: []byte("0")},
			func(_ *kgo.Record, err error) { acknowledged <- err })
		client.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: 1, Value: []byte("1")}, nil)
		if err := <-acknowledged; err != nil {
			t.Fatal(err)
		}
		return client, func() { close(hold.release) }
	}
	committed := func(topic string) int { return len(logtest.ReadCommitted(t, b.Cluster, topic)) }

	topic := b.Domain("without")
	client, release := begin(topic)
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Error(err)
	}
	if n := committed(topic); n > 0 {
		t.Errorf("without the rule: %d records are committed, and the rule may go", n)
	}
	release()

	topic = b.Domain("with")
	client, release = begin(topic)
	soon, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := log.Enter(soon, client, topic, 0); err == nil {
		t.Error("a topic is on the books too soon")
	}
	release()
	if err := client.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if err := log.Enter(t.Context(), client, topic, 0); err != nil {
		t.Error(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Error(err)
	}
	if n := committed(topic); n != 2 {
		t.Errorf("%d of 2 records are committed", n)
	}
}
