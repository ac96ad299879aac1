package partitioning_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
)

// raw is a transactional producer without any of the package's rules: what is
// shown to go wrong goes wrong with it.
type raw struct {
	w      *world
	id     string
	client *kgo.Client
}

func (w *world) raw(name string, opts ...kgo.Opt) *raw {
	w.t.Helper()
	id := w.Domain(name) // not of the group: nobody ends what it leaves open
	return &raw{w, id, w.Client(w.t, append([]kgo.Opt{
		kgo.TransactionalID(id),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)}
}

func (r *raw) begin() *raw {
	r.w.t.Helper()
	ok(r.w.t, r.client.BeginTransaction())
	return r
}

// produce writes pages, and ignores what fails.
func (r *raw) produce(partition int32, pages ...string) *raw {
	r.w.t.Helper()
	for _, p := range pages {
		page := r.w.page(partition, p)
		r.client.Produce(context.Background(), page.ToClient(), nil)
	}
	ok(r.w.t, r.client.Flush(r.w.t.Context()))
	ok(r.w.t, log.Enter(r.w.t.Context(), r.client, r.w.events, partition))
	return r
}

func (r *raw) end() error {
	return r.client.EndTransaction(context.Background(), kgo.TryCommit)
}

// offsets commits one offset for a partition of the commands topic, and gives
// its error.
func (r *raw) offsets(member string, generation, partition int32, offset int64, metadata string) error {
	r.w.t.Helper()
	id, epoch, err := r.client.ProducerID(r.w.t.Context())
	ok(r.w.t, err)
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group = r.id, r.w.group
	req.ProducerID, req.ProducerEpoch = id, epoch
	req.MemberID, req.Generation = member, generation
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = r.w.commands, r.w.domain.CommandsID
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, offset, &metadata
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	for {
		resp, err := req.RequestWith(r.w.t.Context(), r.client)
		ok(r.w.t, err)
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
		if !errors.Is(err, kerr.ConcurrentTransactions) {
			return err
		}
	}
}

// rawMember is a group member that believes what the client's callbacks tell.
type rawMember struct {
	client *kgo.Client

	mu    sync.Mutex
	owned []int32
}

func (w *world) rawMember(x *logtest.Wire) *rawMember {
	w.t.Helper()
	m := &rawMember{}
	change := func(fn func([]int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			fn(partitions[w.commands])
		}
	}
	gone := change(func(ps []int32) {
		m.owned = slices.DeleteFunc(m.owned, func(p int32) bool { return slices.Contains(ps, p) })
	})
	cluster := w.Cluster
	cluster.Brokers = []string{x.Addr()}
	client, err := kgo.NewClient(append(cluster.Options("raw"),
		kgo.ConsumerGroup(w.group), kgo.ConsumeTopics(w.commands), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.HeartbeatInterval(heartbeat), kgo.SessionTimeout(session),
		kgo.OnPartitionsAssigned(change(func(ps []int32) { m.owned = append(m.owned, ps...) })),
		kgo.OnPartitionsRevoked(gone), kgo.OnPartitionsLost(gone),
	)...)
	ok(w.t, err)
	w.t.Cleanup(client.Close)
	m.client = client
	return m
}

func (m *rawMember) owns(partition int32) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.owned, partition)
}

// wrong says that a test's raw half did not go wrong.
func wrong(t testing.TB, what string, is bool) {
	t.Helper()
	if !is {
		t.Errorf("without the rule: %s: no longer so", what)
	}
}
