package business

import (
	"context"
	"strconv"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// CheckCommands says what is wrong with a CommandBook, nil if nothing is.
func CheckCommands(b *angzarr.CommandBook) *status.Status {
	if st := checkCover(b.GetCover()); st != nil {
		return st
	}
	if st := checkIDs(b.CommandId, b.CorrelationId); st != nil {
		return st
	}
	if len(b.Pages) == 0 {
		return invalid("pages", "a command book needs at least one page")
	}
	for i, p := range b.Pages {
		if !typed(p.GetCommand()) {
			return invalid("pages["+strconv.Itoa(i)+"].command", "is missing, or has no type URL")
		}
	}
	return nil
}

// maxID bounds command and correlation ids, which every page carries.
const maxID = 512

func checkIDs(commandID, correlationID string) *status.Status {
	switch {
	case len(commandID) > maxID:
		return invalid("command_id", "has "+strconv.Itoa(len(commandID))+" bytes, more than "+strconv.Itoa(maxID))
	case len(correlationID) > maxID:
		return invalid("correlation_id", "has "+strconv.Itoa(len(correlationID))+" bytes, more than "+strconv.Itoa(maxID))
	}
	return nil
}

// typed says that a payload names its message's type.
func typed(payload *anypb.Any) bool {
	url := payload.GetTypeUrl()
	return url != "" && url[len(url)-1] != '/'
}

// CheckEvents says what is wrong with an EventBook that is to be recorded,
// whatever its aggregate's history is.
func CheckEvents(b *angzarr.EventBook) *status.Status {
	if st := checkCover(b.GetCover()); st != nil {
		return st
	}
	if st := checkIDs(b.CommandId, b.CorrelationId); st != nil {
		return st
	}
	if len(b.Pages) == 0 {
		return invalid("pages", "an event book to record needs at least one page")
	}
	if b.Snapshot != nil {
		return invalid("snapshot", "is business logic's to make: record the pages alone")
	}
	return checkPages(b.Pages)
}

// checkPages checks what can be checked of pages without their aggregate: an
// event each, and numbers that follow each other where they are given.
func checkPages(pages []*angzarr.EventPage) *status.Status {
	var before uint32
	numbered := 0
	for i, p := range pages {
		field := "pages[" + strconv.Itoa(i) + "]"
		if !typed(p.GetEvent()) {
			return invalid(field+".event", "is missing, or has no type URL")
		}
		if p.CreatedAt != nil && !p.CreatedAt.IsValid() {
			return invalid(field+".createdAt", "is no valid time")
		}
		num, ok := p.GetSequence().(*angzarr.EventPage_Num)
		if !ok {
			continue
		}
		numbered++
		if num.Num == 0 {
			return invalid(field+".num", "pages are numbered from 1; leave the number out to be given the next one")
		}
		if before > 0 && num.Num != before+1 {
			return invalid(field+".num", "is "+strconv.FormatUint(uint64(num.Num), 10)+
				", but the page before it is "+strconv.FormatUint(uint64(before), 10)+": numbers must follow each other")
		}
		before = num.Num
	}
	if numbered > 0 && numbered < len(pages) {
		return invalid("pages", "either all pages have numbers, or none has")
	}
	return nil
}

func checkCover(c *angzarr.Cover) *status.Status {
	switch {
	case c == nil:
		return invalid("cover", "is missing: it names the aggregate")
	case c.Domain == "":
		return invalid("cover.domain", "is missing")
	case c.Root == nil:
		return invalid("cover.root", "is missing: a UUID of 16 bytes")
	}
	if _, err := log.RootOf(c.Root.Value); err != nil {
		return invalid("cover.root", err.Error())
	}
	return nil
}

// read makes a command of a polled record. A status says why that can't be
// done: the record is a dead letter then. What it could read of the command is
// given back all the same.
func read(domain string, r *log.Record) (*command, *status.Status) {
	c := &command{ctx: context.Background(), polled: r, replyTo: -1}
	c.cause.Source = sourceOf(r)
	c.cause.CommandID = c.cause.Source
	for i := range r.Headers {
		value := string(r.Headers[i].Value)
		switch r.Headers[i].Key {
		case log.HeaderCommandID:
			c.cause.CommandID = value
		case log.HeaderCorrelationID:
			c.cause.CorrelationID = value
		case log.HeaderTraceparent:
			c.cause.Traceparent = value
		case log.HeaderReplyTo:
			if n, err := strconv.ParseInt(value, 10, 32); err == nil && n >= 0 {
				c.replyTo = int32(n)
			}
		case log.HeaderDeadline:
			if at, err := time.Parse(time.RFC3339Nano, value); err == nil {
				c.ctx = deadline{c.ctx, at}
			}
		}
	}
	var st *status.Status
	if string(r.Header(log.HeaderKind)) == log.KindEventBook {
		st = c.readEvents(r.Value)
	} else {
		st = c.readCommands(r.Value)
	}
	if c.cause.CorrelationID == "" {
		c.cause.CorrelationID = c.cause.CommandID
	}
	if st != nil {
		return c, st
	}
	if in := c.cover().Domain; in != domain {
		return c, invalid("cover.domain", "is "+strconv.Quote(in)+", but this topic is "+strconv.Quote(domain)+"'s")
	}
	c.root, c.rooted = log.Root(c.cover().Root.Value), true
	return c, nil
}

func (c *command) readCommands(value []byte) *status.Status {
	book := &angzarr.CommandBook{}
	if err := proto.Unmarshal(value, book); err != nil {
		return status.Newf(codes.InvalidArgument, "the record's value is no CommandBook: %v", err)
	}
	c.identify(book.CommandId, book.CorrelationId)
	c.commands = book
	if st := CheckCommands(book); st != nil {
		return st
	}
	c.cause.Hops = book.GetSagaOrigin().GetHops()
	c.encode(value)
	return nil
}

func (c *command) readEvents(value []byte) *status.Status {
	book := &angzarr.EventBook{}
	if err := proto.Unmarshal(value, book); err != nil {
		return status.Newf(codes.InvalidArgument, "the record's value is no EventBook: %v", err)
	}
	c.identify(book.CommandId, book.CorrelationId)
	c.record = book
	return CheckEvents(book)
}

// identify takes the ids of the book where it has some.
func (c *command) identify(commandID, correlationID string) {
	if commandID != "" {
		c.cause.CommandID = commandID
	}
	if correlationID != "" {
		c.cause.CorrelationID = correlationID
	}
}

// encode keeps the book as business logic gets it: with its ids filled in.
// Protobuf lets fields be appended to a message that is encoded already.
func (c *command) encode(book []byte) {
	ids, err := proto.Marshal(&angzarr.CommandBook{CommandId: c.cause.CommandID, CorrelationId: c.correlationID()})
	if err != nil {
		panic("business: " + err.Error())
	}
	c.encoded = append(append(make([]byte, 0, len(book)+len(ids)), book...), ids...)
}

func (c *command) correlationID() string {
	if c.cause.CorrelationID == "" {
		return c.cause.CommandID
	}
	return c.cause.CorrelationID
}

func (c *command) cover() *angzarr.Cover {
	if c.record != nil {
		return c.record.Cover
	}
	return c.commands.GetCover()
}

// deadline is a context that ends at a time, without a timer or a goroutine:
// the loop asks it before it decides.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

func (d deadline) Err() error {
	if time.Now().After(d.at) {
		return context.DeadlineExceeded
	}
	return nil
}
