package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// inTransaction is how many pages are committed together.
const inTransaction = 5000

// fill writes the history: the first page of each root, then the second one of each,
// and so on, so that a root's pages lie far from each other; the long root's are
// spread evenly between them. The last tenth of the roots get a snapshot that covers
// all their pages.
func (q *queries) fill(ctx context.Context) error {
	client, err := kgo.NewClient(clientOptions(q.Brokers, kgo.TransactionalID("bench-"+q.domain.Name),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(4*inTransaction))...)
	if err != nil {
		return err
	}
	defer client.Close()
	f := &filling{client: client, domain: q.domain, payload: make([]byte, q.Size)}
	rand.Read(f.payload)
	q.roots = make([]uuid.UUID, q.Aggregates)
	for i := range q.roots {
		q.roots[i] = uuid.New()
	}
	all := q.Aggregates * q.Pages
	for i := range all {
		root, n := i%q.Aggregates, i/q.Aggregates+1
		if err := f.add(ctx, q.roots[root], uint32(n)); err != nil {
			return err
		}
		if n == q.Pages && root >= q.bare() {
			if err := f.cover(ctx, q.roots[root], uint32(n)); err != nil {
				return err
			}
		}
		for n := uint32(i*q.Long/all) + 1; n <= uint32((i+1)*q.Long/all); n++ {
			if err := f.add(ctx, q.long, n); err != nil {
				return err
			}
		}
	}
	return f.commit(ctx)
}

// filling is a transaction that grows.
type filling struct {
	client  *kgo.Client
	domain  log.Domain
	payload []byte
	records []*kgo.Record
}

func (f *filling) add(ctx context.Context, root uuid.UUID, sequence uint32) error {
	p := log.Page{
		Root: log.Root(root), Sequence: sequence, CreatedAt: time.Now(), TypeURL: "type.googleapis.com/angzarr.bench.Event",
		Value: f.payload, Cause: log.Cause{CommandID: uuid.NewString()},
	}
	r := p.Encode(f.domain.Name, partitioning.Of(p.Root, f.domain.Partitions))
	return f.write(ctx, r)
}

// cover adds a root's snapshot.
func (f *filling) cover(ctx context.Context, root uuid.UUID, sequence uint32) error {
	s := log.NewSheet(f.domain.Name)
	s.AddSnapshot(log.Root(root), &angzarr.Snapshot{Sequence: sequence, State: &anypb.Any{TypeUrl: "type.googleapis.com/angzarr.bench.State", Value: f.payload}},
		partitioning.Of(log.Root(root), f.domain.Partitions))
	return f.write(ctx, s.Records[0])
}

func (f *filling) write(ctx context.Context, r log.Record) error {
	f.records = append(f.records, r.ToClient())
	if len(f.records) < inTransaction {
		return nil
	}
	return f.commit(ctx)
}

func (f *filling) commit(ctx context.Context) error {
	if len(f.records) == 0 {
		return nil
	}
	if err := f.client.BeginTransaction(); err != nil {
		return err
	}
	if err := f.client.ProduceSync(ctx, f.records...).FirstErr(); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	for p := range f.domain.Partitions {
		for _, r := range f.records {
			if r.Partition == p {
				if err := log.Enter(ctx, f.client, r.Topic, p); err != nil {
					return err
				}
				break
			}
		}
	}
	f.records = f.records[:0]
	return f.client.EndTransaction(ctx, kgo.TryCommit)
}
