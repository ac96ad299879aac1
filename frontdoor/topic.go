package frontdoor

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// askAgain is how long a reply is waited for before the command is written once
// more, with its id: the owner may have died between the commit and the reply.
const askAgain = 3 * time.Second

// Topic is the way through the commands topic and back through the replies. Any
// owner can be reached by it, as long as Kafka can.
type Topic struct {
	cluster   log.Cluster
	writer    *log.Writer
	partition int32 // of the replies topic: the one that is read here
	from      int64
	log       *slog.Logger

	mu      sync.Mutex
	waiting map[string][]chan *angzarr.Outcome // by command id
}

// NewTopic reads one of the partitions of the replies topic, from its end now.
// ends are where the partitions end.
func NewTopic(cluster log.Cluster, writer *log.Writer, ends map[int32]int64, logger *slog.Logger) *Topic {
	partition := int32(rand.IntN(len(ends)))
	return &Topic{
		cluster: cluster, writer: writer, partition: partition, from: ends[partition], log: logger,
		waiting: make(map[string][]chan *angzarr.Outcome),
	}
}

// Run reads replies until ctx ends.
func (t *Topic) Run(ctx context.Context) error {
	return t.cluster.Follow(ctx, log.RepliesTopic, t.partition, t.from, func(r *log.Record) {
		t.mu.Lock()
		waiting := t.waiting[string(r.Key)]
		delete(t.waiting, string(r.Key))
		t.mu.Unlock()
		if len(waiting) == 0 {
			return // another front door's, or nobody waits any more
		}
		o := &angzarr.Outcome{}
		if err := proto.Unmarshal(r.Value, o); err != nil {
			t.log.Error("a reply can't be read", "partition", r.Partition, "offset", r.Offset, "error", err)
			return
		}
		for _, c := range waiting {
			c <- o
		}
	})
}

// send writes the parcel to its commands topic and waits for the reply.
func (t *Topic) send(ctx context.Context, p *parcel, try *attempt) (*angzarr.EventBook, error) {
	record, err := t.recordOf(ctx, p)
	if err != nil {
		return nil, err
	}
	reply := make(chan *angzarr.Outcome, 1)
	t.await(p.id, reply)
	defer t.forget(p.id, reply)
	for {
		try.doubt = true
		if err := t.writer.Write(ctx, record); err != nil {
			try.again = true
			return nil, grpcstatus.Errorf(codes.Unavailable, "the command could not be written: %v", err)
		}
		timer := time.NewTimer(askAgain)
		select {
		case o := <-reply:
			timer.Stop()
			try.doubt = false
			return bookOf(o)
		case <-ctx.Done():
			timer.Stop()
			try.again = true
			return nil, ctx.Err()
		case <-timer.C:
		}
		t.mu.Lock()
		waits := len(t.waiting[p.id]) > 0
		t.mu.Unlock()
		if !waits {
			t.await(p.id, reply)
		}
	}
}

func (t *Topic) await(id string, reply chan *angzarr.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[id] = append(t.waiting[id], reply)
}

func (t *Topic) forget(id string, reply chan *angzarr.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.waiting[id][:0]
	for _, c := range t.waiting[id] {
		if c != reply {
			kept = append(kept, c)
		}
	}
	if len(kept) == 0 {
		delete(t.waiting, id)
		return
	}
	t.waiting[id] = kept
}

// recordOf makes the command's record. Its deadline goes with it: what is not
// decided by then is not applied.
func (t *Topic) recordOf(ctx context.Context, p *parcel) (*log.Record, error) {
	r := &log.Record{
		Topic: log.CommandsTopic(p.cover.Domain), Partition: p.partition,
		Key: p.cover.Root.Value,
		Headers: []log.Header{
			{Key: log.HeaderCommandID, Value: []byte(p.id)},
			{Key: log.HeaderReplyTo, Value: []byte(strconv.Itoa(int(t.partition)))},
		},
	}
	message := proto.Message(p.commands)
	if p.events != nil {
		message = p.events
		r.Headers = append(r.Headers, log.Header{Key: log.HeaderKind, Value: []byte(log.KindEventBook)})
	}
	if at, bounded := ctx.Deadline(); bounded {
		r.Headers = append(r.Headers, log.Header{Key: log.HeaderDeadline, Value: []byte(at.UTC().Format(time.RFC3339Nano))})
	}
	if p.traceparent != "" {
		r.Headers = append(r.Headers, log.Header{Key: log.HeaderTraceparent, Value: []byte(p.traceparent)})
	}
	value, err := proto.Marshal(message)
	if err != nil {
		return nil, grpcstatus.Errorf(codes.Internal, "encode the command: %v", err)
	}
	r.Value = value
	return r, nil
}

// bookOf makes an outcome the answer that a call would have got.
func bookOf(o *angzarr.Outcome) (*angzarr.EventBook, error) {
	if o.Code != 0 {
		return nil, grpcstatus.ErrorProto(&status.Status{Code: o.Code, Message: o.Message, Details: o.Details})
	}
	return o.Book, nil
}
