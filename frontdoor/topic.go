package frontdoor

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const (
	// askAgain is how long a reply is waited for before the command is written
	// once more, with its id: the owner may have died between the commit and
	// the reply. It doubles up to askLast, for who waits without a deadline.
	askAgain = 3 * time.Second
	askLast  = time.Minute
	// postPatience is how long the reply to a record that is posted is waited for.
	postPatience = 20 * time.Second
)

// Topic is the way through the commands topic and back through the replies. Any
// owner can be reached by it, as long as Kafka can.
type Topic struct {
	cluster   log.Cluster
	writer    *log.Writer
	partition int32 // of the replies topic: the one that is read here
	from      int64
	log       *slog.Logger
	patience  time.Duration // askAgain
	waiting   waiting
	others    func(*log.Record) // takes what no copy of a command asked for
}

// NewTopic reads one of the partitions of the replies topic, from its end now.
// ends are where the partitions end.
func NewTopic(cluster log.Cluster, writer *log.Writer, ends map[int32]int64, logger *slog.Logger) *Topic {
	partition := int32(rand.IntN(len(ends)))
	return &Topic{
		cluster: cluster, writer: writer, partition: partition, from: ends[partition], log: logger,
		patience: askAgain, others: func(*log.Record) {},
	}
}

// Partition is the one of the replies topic that is read here.
func (t *Topic) Partition() int32 { return t.partition }

// Others has replies handed over that are none to a command which was written here.
// It is called before Run.
func (t *Topic) Others(take func(*log.Record)) { t.others = take }

// Run reads replies until ctx ends.
func (t *Topic) Run(ctx context.Context) error {
	return t.cluster.Follow(ctx, log.RepliesTopic, t.partition, t.from, func(r *log.Record) {
		w, copied := t.waiting.find(string(r.Header(log.HeaderReplyTag)))
		if w == nil {
			t.others(r) // or another front door's, or nobody waits any more
			return
		}
		o := &angzarr.Outcome{}
		if err := proto.Unmarshal(r.Value, o); err != nil {
			t.log.Error("a reply can't be read; it is asked for again", "partition", r.Partition, "offset", r.Offset, "error", err)
			return
		}
		w.take(reply{copied, o})
	})
}

// send writes the parcel to its commands topic and waits for the reply. A command
// that is accepted is so by whichever copy; one that is refused, by the last.
func (t *Topic) send(ctx context.Context, p *parcel) (*angzarr.EventBook, error) {
	record, err := t.recordOf(ctx, p)
	if err != nil {
		return nil, err
	}
	before := p.doubt
	w := t.waiting.begin()
	defer t.waiting.end(w)
	patience := t.patience
	for n := 1; ; n++ {
		if ctx.Err() != nil {
			return nil, again{error: ctx.Err()}
		}
		record.Headers[tagIndex].Value = w.tag(n)
		if err := t.write(ctx, p, record, n == 1); err != nil {
			return nil, err
		}
		switch o, err := w.wait(ctx, n, patience); {
		case err == nil:
			// With one copy and no other try there is nothing to belie it.
			p.doubt = before || n > 1
			return t.bookOf(ctx, p, o)
		case ctx.Err() != nil:
			return nil, again{error: err}
		}
		patience = min(askLast, 2*patience)
	}
}

// write writes a copy of the command. What is not written for good is refused,
// as long as no other copy may be there.
func (t *Topic) write(ctx context.Context, p *parcel, record *log.Record, first bool) error {
	alone := first && !p.queued
	doubt := p.doubt
	p.doubt, p.queued = true, true
	err := t.writer.Write(ctx, record)
	never := errors.Is(err, log.ErrTooLarge) || errors.Is(err, log.ErrNoTopic)
	switch {
	case err == nil:
		return nil
	case !never || !alone:
		return again{error: status.Errorf(codes.Unavailable, "the command could not be written: %v", err)}
	}
	p.doubt, p.queued = doubt, false
	if errors.Is(err, log.ErrTooLarge) {
		return tooLarge(p, 0).Err()
	}
	return err
}

// tagIndex is where the header is that tells copies apart.
const tagIndex = 0

// recordOf makes the command's record. Its deadline goes with it: what is not
// decided by then is not applied.
func (t *Topic) recordOf(ctx context.Context, p *parcel) (*log.Record, error) {
	r := &log.Record{
		Topic: log.CommandsTopic(p.cover.Domain), Partition: p.partition,
		Key: p.cover.Root.Value,
		Headers: []log.Header{
			tagIndex: {Key: log.HeaderReplyTag},
			{Key: log.HeaderReplyTo, Value: []byte(strconv.Itoa(int(t.partition)))},
			{Key: log.HeaderCommandID, Value: []byte(p.id)},
		},
	}
	add := func(key, value string) {
		r.Headers = append(r.Headers, log.Header{Key: key, Value: []byte(value)})
	}
	message := proto.Message(p.commands)
	switch {
	case p.events != nil:
		message = p.events
		add(log.HeaderKind, log.KindEventBook)
	case p.erase != nil:
		message = p.erase
		add(log.HeaderKind, log.KindErasure)
	}
	if at, bounded := ctx.Deadline(); bounded {
		add(log.HeaderDeadline, at.UTC().Format(time.RFC3339Nano))
	}
	if p.traceparent != "" {
		add(log.HeaderTraceparent, p.traceparent)
	}
	if p.answerTo != "" {
		add(log.HeaderAnswerTo, p.answerTo)
	}
	value, err := proto.Marshal(message)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the command can't be encoded: %v", err)
	}
	r.Value = value
	return r, nil
}

// Post writes a command's record as it is, says when that is done or has failed,
// and waits for what becomes of it, though not for long: no outcome says that it is
// still to come, or that its reply was lost. After an error nothing is known, and
// the command may be handled yet.
func (t *Topic) Post(ctx context.Context, r *log.Record, written func()) (*angzarr.Outcome, error) {
	w := t.waiting.begin()
	defer t.waiting.end(w)
	r.Headers = append(r.Headers,
		log.Header{Key: log.HeaderReplyTag, Value: w.tag(1)},
		log.Header{Key: log.HeaderReplyTo, Value: []byte(strconv.Itoa(int(t.partition)))})
	err := t.writer.Write(ctx, r)
	written()
	if err != nil {
		return nil, err
	}
	outcome, err := w.wait(ctx, 1, postPatience)
	if err == errNoReply {
		return nil, ctx.Err()
	}
	return outcome, err
}

// bookOf makes an outcome the answer that a call would have got.
func (t *Topic) bookOf(ctx context.Context, p *parcel, o *angzarr.Outcome) (*angzarr.EventBook, error) {
	if o.Code != 0 {
		return nil, refusal(o)
	}
	if o.Book != nil {
		return o.Book, nil
	}
	// The replies topic takes less than an answer may have.
	pages, err := t.pages(ctx, p, o.FirstPage, o.LastPage)
	if err != nil {
		p.doubt = true // it is applied, and a repeat gives its pages
		return nil, again{error: err}
	}
	return &angzarr.EventBook{Cover: p.cover, Pages: pages, CommandId: o.CommandId, CorrelationId: o.CorrelationId}, nil
}

// newTag is a name that no other caller's copies have.
func newTag() string { return uuid.NewString() }
