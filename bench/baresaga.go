package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
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

	"github.com/angzarr/angzarr-kafka/log"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// BareSagaOptions are what a bare saga loop needs to know. Its topics are there.
type BareSagaOptions struct {
	Brokers  []string
	From, To string // domains
	Saga     string // address
	Calls    int
}

// mostPolled bounds the transactions of the bare loop: all that is there would be
// too much for one.
const mostPolled = 2000

// RunBareSaga runs the yardstick until ctx ends, which is no error, or until
// anything goes wrong: it repairs nothing, and keeps no root's events in order.
func RunBareSaga(ctx context.Context, o BareSagaOptions) error {
	connection, err := grpc.NewClient(o.Saga, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("bare saga: %w", err)
	}
	defer connection.Close()
	client, err := kgo.NewClient(clientOptions(o.Brokers)...)
	if err != nil {
		return err
	}
	defer client.Close()
	version, err := transactionVersion(ctx, client)
	if err != nil {
		return err
	}
	from, to := topicsOf(o.From).events, topicsOf(o.To).commands
	found, err := kadm.NewClient(client).ListTopics(ctx, from, to)
	if err != nil {
		return fmt.Errorf("bare saga: list topics: %w", err)
	}
	w := &bareSaga{options: o, saga: pb.NewSagaClient(connection), partitioner: newPartitioner(), partitions: len(found[to].Partitions)}
	w.txn = &transactions{
		group: log.SagaGroup("bare", o.From), id: "bare/" + o.From + "/" + uuid.NewString(),
		topic: from, topicID: found[from].ID, version: version,
	}
	if err := w.open(to); err != nil {
		return fmt.Errorf("bare saga: %w", err)
	}
	defer w.close()
	if err := w.run(ctx); err != nil {
		return fmt.Errorf("bare saga: %w", err)
	}
	return nil
}

// bareSaga is the loop in lockstep: poll, call, produce, offsets, end.
type bareSaga struct {
	options     BareSagaOptions
	saga        pb.SagaClient
	txn         *transactions
	partitioner partitioner
	partitions  int
}

func (w *bareSaga) open(to string) (err error) {
	w.txn.producer, err = kgo.NewClient(clientOptions(w.options.Brokers,
		kgo.TransactionalID(w.txn.id),
		kgo.TransactionTimeout(10*time.Second),
		kgo.DefaultProduceTopic(to),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxVersions(versionsFor(w.txn.version)),
	)...)
	if err != nil {
		return err
	}
	w.txn.consumer, err = kgo.NewClient(clientOptions(w.options.Brokers,
		kgo.ConsumerGroup(w.txn.group),
		kgo.ConsumeTopics(w.txn.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.SessionTimeout(6*time.Second),
	)...)
	return err
}

func (w *bareSaga) close() {
	w.txn.consumer.Close()
	w.txn.producer.Close()
}

func (w *bareSaga) run(ctx context.Context) error {
	for ctx.Err() == nil {
		fetches := w.txn.consumer.PollRecords(ctx, mostPolled)
		if err := fetches.Err(); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("poll: %w", err)
		}
		events := fetches.Records()
		if len(events) == 0 {
			continue
		}
		commands, err := w.call(ctx, events)
		if err != nil && ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("call the saga: %w", err)
		}
		positions := map[int32]int64{}
		for _, e := range events {
			positions[e.Partition] = e.Offset + 1
		}
		if err := w.txn.commit(ctx, commands, positions); err != nil && ctx.Err() == nil {
			return fmt.Errorf("commit %d events: %w", len(events), err)
		}
	}
	return nil
}

// call asks the saga about each event with a unary call, many at once.
func (w *bareSaga) call(ctx context.Context, events []*kgo.Record) ([]*kgo.Record, error) {
	commands := make([]*kgo.Record, len(events))
	var next atomic.Int64
	callers, ctx := errgroup.WithContext(ctx)
	for range min(w.options.Calls, len(events)) {
		callers.Go(func() (err error) {
			for i := next.Add(1) - 1; i < int64(len(events)) && err == nil; i = next.Add(1) - 1 {
				commands[i], err = w.react(ctx, events[i])
			}
			return err
		})
	}
	return commands, callers.Wait()
}

// react makes the same record as the runtime does, byte for byte in size.
func (w *bareSaga) react(ctx context.Context, e *kgo.Record) (*kgo.Record, error) {
	number := binary.BigEndian.Uint32(e.Key[16:])
	book := &pb.EventBook{
		Cover: &pb.Cover{Domain: w.options.From, Root: &pb.UUID{Value: e.Key[:16]}},
		Pages: []*pb.EventPage{{Sequence: &pb.EventPage_Num{Num: number}}},
	}
	for _, h := range e.Headers {
		switch h.Key {
		case "ce_type":
			book.Pages[0].Event = &anypb.Any{TypeUrl: "type.googleapis.com/" + string(h.Value), Value: e.Value}
		case log.HeaderCommandID:
			book.CommandId, book.CorrelationId = string(h.Value), string(h.Value)
		}
	}
	answer, err := w.saga.HandleSync(ctx, book)
	if err != nil {
		return nil, err
	}
	command := answer.Commands[0]
	command.CommandId = w.txn.group + "/" + root(e.Key[:16]).String() + "/" + strconv.Itoa(int(number)) + "/0"
	command.CorrelationId = book.CorrelationId
	command.SagaOrigin = &pb.SagaOrigin{Saga: w.txn.group, Cause: book.Cover, Sequence: number, Hops: 1}
	value, err := proto.Marshal(command)
	key := command.Cover.Root.Value
	return &kgo.Record{
		Key: key, Value: value, Partition: w.partitioner.partition(key, w.partitions),
		Headers: []kgo.RecordHeader{{Key: log.HeaderHops, Value: []byte("1")}},
	}, err
}
