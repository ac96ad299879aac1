package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
)

// topicLoad produces commands as fast as it can, with a bounded number whose
// events are not committed yet, and reads the committed events.
type topicLoad struct {
	sender
	outstanding uint64
	slow        bool
	producer    *kgo.Client
	reader      *kgo.Client

	produced  atomic.Uint64
	committed atomic.Uint64
	moved     chan struct{} // after committed has grown
	slowDone  chan struct{} // after the slow root's command was committed
}

func newTopicLoad(o Options, s sender, from offsets) (*topicLoad, error) {
	l := &topicLoad{
		sender: s, outstanding: uint64(o.Outstanding), slow: o.SlowRoot > 0,
		moved: make(chan struct{}, 1), slowDone: make(chan struct{}, 1),
	}
	names := topicsOf(s.domain)
	var err error
	l.producer, err = kgo.NewClient(clientOptions(o.Brokers,
		kgo.DefaultProduceTopic(names.commands),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.MaxBufferedRecords(o.Outstanding+1),
		kgo.ProducerLinger(time.Millisecond),
	)...)
	if err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	l.reader, err = kgo.NewClient(clientOptions(o.Brokers,
		kgo.ConsumePartitions(from.at(names.events)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
	)...)
	if err != nil {
		l.producer.Close()
		return nil, fmt.Errorf("reader: %w", err)
	}
	return l, nil
}

func (l *topicLoad) close() {
	l.producer.Close()
	l.reader.Close()
}

func (l *topicLoad) probe(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	for i := range probes {
		if err := l.produce(ctx, fail, l.roots[i%len(l.roots)]); err != nil {
			return err
		}
	}
	return l.drain(ctx, window{}, nil)
}

func (l *topicLoad) run(ctx context.Context, w window) (latencies, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var got latencies
	var sending, reading errgroup.Group
	sending.Go(func() error { return l.send(ctx, fail, w) })
	if l.slow {
		sending.Go(func() error { return l.sendSlow(ctx, fail, w) })
	}
	untilSent, sent := context.WithCancel(ctx)
	reading.Go(func() error {
		err := l.readUntil(untilSent, w, &got)
		if err != nil {
			fail(err)
		}
		return err
	})
	err := sending.Wait()
	sent()
	if err := errors.Join(err, reading.Wait()); err != nil {
		return got, err
	}
	return got, l.drain(ctx, w, &got)
}

// send keeps as many commands under way as are allowed.
func (l *topicLoad) send(ctx context.Context, fail context.CancelCauseFunc, w window) error {
	random := rand.New(rand.NewPCG(1, 2))
	for time.Now().Before(w.to) {
		if l.produced.Load()-l.committed.Load() >= l.outstanding {
			select {
			case <-l.moved:
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Until(w.to)):
			}
			continue
		}
		if err := l.produce(ctx, fail, l.some(random)); err != nil {
			return err
		}
	}
	return nil
}

// sendSlow sends the slow root's next command when its last one is committed.
func (l *topicLoad) sendSlow(ctx context.Context, fail context.CancelCauseFunc, w window) error {
	for time.Now().Before(w.to) {
		if err := l.produce(ctx, fail, slowRoot); err != nil {
			return err
		}
		select {
		case <-l.slowDone:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// produce hands a command to the client; fail hears of it if it doesn't arrive.
func (l *topicLoad) produce(ctx context.Context, fail context.CancelCauseFunc, r root) error {
	command, book := l.make(r)
	value, err := proto.Marshal(book)
	if err != nil {
		return fmt.Errorf("command %d: %w", command.index, err)
	}
	l.produced.Add(1)
	l.producer.Produce(ctx, &kgo.Record{Key: r[:], Value: value}, func(_ *kgo.Record, err error) {
		if err != nil {
			fail(fmt.Errorf("produce command %d: %w", command.index, err))
		}
	})
	return nil
}
