package business

import (
	"context"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// read makes a command of a polled record. A status says why that can't be
// done: the record is a dead letter then. What it could read of the command is
// given back all the same.
func read(domain string, r *log.Record) (*command, *status.Status) {
	c := &command{ctx: context.Background(), polled: r, replyTo: -1}
	c.cause.Source = r.Source().String()
	c.cause.CommandID = c.cause.Source
	for i := range r.Headers {
		c.readHeader(r.Headers[i].Key, string(r.Headers[i].Value))
	}
	var st *status.Status
	switch string(r.Header(log.HeaderKind)) {
	case log.KindEventBook:
		st = c.readEvents(r.Value)
	case log.KindErasure:
		st = c.readErasure(r.Value)
	default:
		st = c.readCommands(domain, r.Value)
	}
	c.readReplay(r)
	if c.cause.CorrelationID == "" {
		c.cause.CorrelationID = c.cause.CommandID
	}
	if st != nil {
		return c, st
	}
	if c.order.domain != domain {
		return c, invalid("cover.domain", "is "+strconv.Quote(start(c.order.domain, 100))+", but this topic is "+strconv.Quote(domain)+"'s")
	}
	c.root, c.rooted = c.order.root, true
	return c, nil
}

// readHeader takes what a header says, where it can be used. Anyone may have
// written it, and what is taken goes into strings of messages and of gRPC.
func (c *command) readHeader(key, value string) {
	switch key {
	case log.HeaderCommandID:
		if usableID(value) {
			c.cause.CommandID = value
		}
	case log.HeaderCorrelationID:
		if usableID(value) {
			c.cause.CorrelationID = value
		}
	case log.HeaderTraceparent:
		if len(value) <= longestTraceparent && traceparent.MatchString(value) {
			c.cause.Traceparent = value
		}
	case log.HeaderHops:
		if n, err := strconv.ParseUint(value, 10, 32); err == nil {
			c.cause.Hops = uint32(n)
		}
	case log.HeaderReplyTo:
		if n, err := strconv.ParseInt(value, 10, 32); err == nil && n >= 0 {
			c.replyTo = int32(n)
		}
	case log.HeaderAnswerTo:
		if _, ok := log.ParseAnswerTo(value); ok {
			c.cause.AnswerTo = value
		}
	case log.HeaderDeadline:
		if at, err := time.Parse(time.RFC3339Nano, value); err == nil {
			c.ctx = deadline{c.ctx, at}
		}
	}
}

// readReplay takes in which dead letter the record is the replay of, if it can be
// one of its topic's.
func (c *command) readReplay(r *log.Record) {
	id, attempts, ok := r.Replayed()
	if ok && id.Reader == "" && id.Source.Topic == r.Topic {
		c.replay = &replay{id, attempts}
	}
}

// traceparent is W3C Trace Context's, of version 00 or a later one.
var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]*)?$`)

const longestTraceparent = 312

func usableID(id string) bool {
	return id != "" && len(id) <= maxID && utf8.ValidString(id)
}

func (c *command) readCommands(domain string, value []byte) *status.Status {
	ordered, ok := scan(domain, value)
	if !ok {
		book := &angzarr.CommandBook{}
		if err := proto.Unmarshal(value, book); err != nil {
			return status.Newf(codes.InvalidArgument, "the record's value is no CommandBook: %v", err)
		}
		c.identify(book.CommandId, book.CorrelationId)
		if st := CheckCommands(book); st != nil {
			return st
		}
		ordered = orderOf(book)
	}
	c.identify(ordered.commandID, ordered.correlationID)
	c.order = ordered
	c.cause.Hops = max(c.cause.Hops, ordered.hops)
	c.encode(value)
	return nil
}

// orderOf reads a book that has passed [CheckCommands].
func orderOf(book *angzarr.CommandBook) order {
	o := order{
		domain: book.Cover.Domain, root: log.Root(book.Cover.Root.Value),
		commandID: book.CommandId, correlationID: book.CorrelationId,
		expected: book.Pages[0].GetSequence(), hops: book.GetSagaOrigin().GetHops(),
	}
	for _, p := range book.Pages {
		o.synchronous = o.synchronous || p.GetSynchronous()
		o.notification = o.notification || isNotification(p.Command.TypeUrl)
	}
	if origin := book.SagaOrigin; origin.GetSaga() != "" && checkCover(origin.Cause) == nil {
		o.origin = origin
	}
	return o
}

func (c *command) readEvents(value []byte) *status.Status {
	book := &angzarr.EventBook{}
	if err := proto.Unmarshal(value, book); err != nil {
		return status.Newf(codes.InvalidArgument, "the record's value is no EventBook: %v", err)
	}
	c.identify(book.CommandId, book.CorrelationId)
	c.record = book
	if st := CheckEvents(book); st != nil {
		return st
	}
	c.order = order{domain: book.Cover.Domain, root: log.Root(book.Cover.Root.Value)}
	return nil
}

// identify takes the ids of the book where it has some.
func (c *command) identify(commandID, correlationID string) {
	if usableID(commandID) {
		c.cause.CommandID = commandID
	}
	if usableID(correlationID) {
		c.cause.CorrelationID = correlationID
	}
}

// encode keeps the book as business logic gets it. Ids that it lacks are appended:
// protobuf lets fields follow a message that is encoded already.
func (c *command) encode(book []byte) {
	c.encoded = book
	if c.order.commandID == "" || c.order.correlationID == "" {
		const commandID, correlationID = 100, 101 // the fields of CommandBook
		id, correlation := c.cause.CommandID, c.correlationID()
		b := make([]byte, 0, len(id)+len(correlation)+10)
		b = protowire.AppendString(protowire.AppendTag(b, commandID, protowire.BytesType), id)
		c.ids = protowire.AppendString(protowire.AppendTag(b, correlationID, protowire.BytesType), correlation)
	}
}

func (c *command) correlationID() string {
	if c.cause.CorrelationID == "" {
		return c.cause.CommandID
	}
	return c.cause.CorrelationID
}

// deadline is a context that ends at a time, without a timer or a goroutine:
// the loop asks it before it decides.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

func (d deadline) Err() error {
	if time.Now().Before(d.at) {
		return nil
	}
	return context.DeadlineExceeded
}
