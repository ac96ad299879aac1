package bench

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// arrived is a command that a bare worker has taken.
type arrived struct {
	book      *pb.CommandBook
	partition int32
	// offset, where it came by the topic, is the one to commit; else -1.
	offset int64
	// answer, where it came by a call, is told once the event is committed.
	answer chan<- *pb.EventBook
}

// bareWorker is the loop in lockstep.
type bareWorker struct {
	options BareOptions
	logic   pb.BusinessLogicClient
	txn     *transactions
	inbox   inbox

	positions map[int32]int64 // owned by run: what to commit, per partition
	numbers   uint32          // owned by run: keys are as long as real ones, and no more than that
}

func newBareWorker(ctx context.Context, o BareOptions, number int, owners *owners, logic pb.BusinessLogicClient) (*bareWorker, error) {
	w := &bareWorker{
		options: o, logic: logic, inbox: newInbox(), positions: map[int32]int64{},
		txn: &transactions{
			group: log.Group(o.Domain), id: fmt.Sprintf("%s/%d/%s", log.Group(o.Domain), number, uuid.NewString()),
			topic: owners.topics.commands, topicID: owners.topicID, version: owners.version,
		},
	}
	var err error
	w.txn.producer, err = kgo.NewClient(clientOptions(o.Brokers,
		kgo.TransactionalID(w.txn.id),
		kgo.TransactionTimeout(10*time.Second),
		kgo.DefaultProduceTopic(owners.topics.events),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxVersions(versionsFor(owners.version)),
	)...)
	if err != nil {
		return nil, err
	}
	follow := func(told func(*bareWorker, []int32)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, of map[string][]int32) { told(w, of[owners.topics.commands]) }
	}
	w.txn.consumer, err = kgo.NewClient(clientOptions(o.Brokers,
		kgo.ConsumerGroup(w.txn.group),
		kgo.ConsumeTopics(owners.topics.commands),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.SessionTimeout(6*time.Second),
		kgo.OnPartitionsAssigned(follow(owners.assigned)),
		kgo.OnPartitionsRevoked(follow(owners.lost)),
		kgo.OnPartitionsLost(follow(owners.lost)),
	)...)
	return w, err
}

func (w *bareWorker) close() {
	w.txn.consumer.Close()
	w.txn.producer.Close()
}

// run is the whole of the yardstick.
func (w *bareWorker) run(ctx context.Context) error {
	for ctx.Err() == nil {
		batch, err := w.take(ctx)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			continue
		}
		books, err := w.call(ctx, batch)
		if err != nil {
			return fmt.Errorf("call business logic: %w", err)
		}
		records, offsets := w.records(batch, books)
		if err := w.txn.commit(ctx, records, offsets); err != nil {
			return fmt.Errorf("commit %d commands: %w", len(batch), err)
		}
		maps.Copy(w.positions, offsets)
		for i, command := range batch {
			if command.answer != nil {
				command.answer <- books[i]
			}
		}
	}
	return nil
}

// take waits until something has arrived, and takes all of it.
func (w *bareWorker) take(ctx context.Context) ([]arrived, error) {
	if !w.options.Topic {
		return w.inbox.take(ctx), nil
	}
	fetches := w.txn.consumer.PollFetches(ctx)
	if err := fetches.Err(); err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("poll: %w", err)
	}
	batch := make([]arrived, 0, fetches.NumRecords())
	for r := range fetches.RecordsAll() {
		book := &pb.CommandBook{}
		if err := proto.Unmarshal(r.Value, book); err != nil {
			return nil, fmt.Errorf("read %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		batch = append(batch, arrived{book: book, partition: r.Partition, offset: r.Offset + 1})
	}
	return batch, nil
}

// call asks business logic about each command with a unary call, many at once.
func (w *bareWorker) call(ctx context.Context, batch []arrived) ([]*pb.EventBook, error) {
	books := make([]*pb.EventBook, len(batch))
	var next atomic.Int64
	callers, ctx := errgroup.WithContext(ctx)
	for range min(w.options.Calls, len(batch)) {
		callers.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(batch)); i = next.Add(1) - 1 {
				book, err := w.logic.Handle(ctx, &pb.ContextualCommand{Command: batch[i].book})
				if err != nil {
					return err
				}
				books[i] = book
			}
			return nil
		})
	}
	return books, callers.Wait()
}
