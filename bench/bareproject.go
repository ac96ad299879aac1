package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/angzarr/angzarr-kafka/log"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// BareProjectorOptions are what the yardstick of a projector needs to know. Its
// topics are there.
type BareProjectorOptions struct {
	Brokers []string
	Domain  string
	Name    string
	Service string // its address
	Calls   int    // under way at most
	Poll    int    // records a transaction at most
}

// RunBareProjector consumes a domain's events, calls the projector for each root's
// that came together, and commits its answers with the offsets; in lockstep, until
// ctx ends, or anything goes wrong.
func RunBareProjector(ctx context.Context, o BareProjectorOptions) error {
	connection, err := grpc.NewClient(o.Service, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	defer connection.Close()
	p := &bareProjector{options: o, service: pb.NewProjectorClient(connection), partitioner: newPartitioner()}
	if err := p.connect(ctx); err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	defer p.txn.consumer.Close()
	defer p.txn.producer.Close()
	for ctx.Err() == nil {
		if err := p.step(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("bare: %w", err)
		}
	}
	return nil
}

type bareProjector struct {
	options     BareProjectorOptions
	service     pb.ProjectorClient
	txn         *transactions
	partitioner partitioner
	partitions  int // of the topic of projections
}

func (p *bareProjector) connect(ctx context.Context) error {
	o := p.options
	client, err := kgo.NewClient(clientOptions(o.Brokers)...)
	if err != nil {
		return err
	}
	defer client.Close()
	version, err := transactionVersion(ctx, client)
	if err != nil {
		return err
	}
	events, projections := log.EventsTopic(o.Domain), log.ProjectionsTopic(o.Name)
	found, err := kadm.NewClient(client).ListTopics(ctx, events, projections)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	p.partitions = len(found[projections].Partitions)
	group := log.ProjectorGroup(o.Name, o.Domain)
	p.txn = &transactions{group: group, id: group + "/" + uuid.NewString(), topic: events, topicID: found[events].ID, version: version}
	if p.txn.producer, err = kgo.NewClient(clientOptions(o.Brokers,
		kgo.TransactionalID(p.txn.id), kgo.TransactionTimeout(10*time.Second),
		kgo.DefaultProduceTopic(projections), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxVersions(versionsFor(version)),
	)...); err != nil {
		return err
	}
	p.txn.consumer, err = kgo.NewClient(clientOptions(o.Brokers,
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(events), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(300*time.Millisecond), kgo.SessionTimeout(6*time.Second),
	)...)
	return err
}

// step is the whole of the yardstick.
func (p *bareProjector) step(ctx context.Context) error {
	fetches := p.txn.consumer.PollRecords(ctx, p.options.Poll)
	if err := fetches.Err(); err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	var books []*pb.EventBook
	of := make(map[string]*pb.EventBook)
	offsets := make(map[int32]int64)
	for r := range fetches.RecordsAll() {
		offsets[r.Partition] = r.Offset + 1
		root := string(r.Key[:16])
		if of[root] == nil {
			of[root] = &pb.EventBook{Cover: &pb.Cover{Domain: p.options.Domain, Root: &pb.UUID{Value: []byte(root)}}}
			books = append(books, of[root])
		}
		of[root].Pages = append(of[root].Pages, barePage(r))
	}
	if len(books) == 0 {
		return nil
	}
	records, err := p.call(ctx, books)
	if err != nil {
		return fmt.Errorf("call the projector: %w", err)
	}
	return p.txn.commit(ctx, records, offsets)
}

// barePage reads what the runtime has written.
func barePage(r *kgo.Record) *pb.EventPage {
	page := &pb.EventPage{
		Sequence: &pb.EventPage_Num{Num: binary.BigEndian.Uint32(r.Key[16:])}, CreatedAt: timestamppb.New(r.Timestamp),
		Event: &anypb.Any{Value: r.Value},
	}
	for _, h := range r.Headers {
		if h.Key == "ce_type" {
			page.Event.TypeUrl = "type.googleapis.com/" + string(h.Value)
		}
	}
	return page
}

func (p *bareProjector) call(ctx context.Context, books []*pb.EventBook) ([]*kgo.Record, error) {
	records := make([]*kgo.Record, len(books))
	var next atomic.Int64
	callers, ctx := errgroup.WithContext(ctx)
	for range min(p.options.Calls, len(books)) {
		callers.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(books)); i = next.Add(1) - 1 {
				book := books[i]
				answer, err := p.service.HandleSync(ctx, book)
				if err != nil {
					return err
				}
				answer.Cover, answer.Projector = book.Cover, p.options.Name
				answer.Sequence = book.Pages[len(book.Pages)-1].GetNum()
				value, err := proto.Marshal(answer)
				if err != nil {
					return err
				}
				key := book.Cover.Root.Value
				records[i] = &kgo.Record{Key: key, Value: value, Partition: p.partitioner.partition(key, p.partitions)}
			}
			return nil
		})
	}
	return records, callers.Wait()
}
