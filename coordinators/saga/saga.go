// Package saga calls a saga for a domain's committed events, and sends the
// commands that it answers to their domains:
//
//	<domain>.events ► reactor ► Saga.HandleSync ► check ► <other domain>.commands
//
// Invariants:
//   - Commands are written in the transaction that commits the offset of the
//     event that led to them: each is in its topic once, whatever dies.
//   - A command's id is made of saga, domain, root, sequence and index alone. So
//     events are called one by one: what goes together into a call would depend
//     on when it was made.
package saga

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// MostHops is how many sagas may lead to each other before a command is taken
// for part of a loop.
const MostHops = 32

// mostCommands bounds what one event leads to: a transaction holds all of it.
const mostCommands = 10_000

// mostBytes bounds a command, so that it fits into a commands topic with the
// brokers' default limit.
const mostBytes = 1_000_000

// Config is what a saga needs.
type Config struct {
	Name    string
	Conn    grpc.ClientConnInterface
	Domains business.Domains
	// EventTypes are the full names of the events that it gets; all, if empty.
	EventTypes []string
	Answer     int // limits.answer, in bytes
	// Synchronous says that answers to synchronous commands wait for its commands.
	Synchronous bool
}

// Saga is a service that turns events into commands. It is called by a reactor's
// worker for each of its domains.
type Saga struct {
	c       Config
	client  angzarr.SagaClient
	methods reactor.Methods
	options []grpc.CallOption
}

// New makes one.
func New(c Config) *Saga {
	return &Saga{c: c, client: angzarr.NewSagaClient(c.Conn), options: []grpc.CallOption{
		grpc.MaxCallRecvMsgSize(c.Answer), grpc.StaticMethod(),
	}}
}

// Together is 1: see the package's invariants.
func (s *Saga) Together() int { return 1 }

// Wants says whether the event is of a type that the saga gets.
func (s *Saga) Wants(p *log.Page) bool {
	return len(s.c.EventTypes) == 0 ||
		slices.Contains(s.c.EventTypes, p.TypeURL[strings.LastIndexByte(p.TypeURL, '/')+1:])
}

// Call has the saga react to an event. The commands that HandleSync answers are
// to be written; a saga that has only Handle emits its commands itself.
func (s *Saga) Call(ctx context.Context, run reactor.Run) ([]log.Record, *reactor.Failure) {
	called, book := run.Context(ctx), run.Book()
	var answered *angzarr.SynchronousProcessingResponse
	synced, failure := s.methods.Call(called, func(ctx context.Context) (err error) {
		answered, err = s.client.HandleSync(ctx, book, s.options...)
		return err
	}, func(ctx context.Context) error {
		_, err := s.client.Handle(ctx, book, s.options...)
		return err
	})
	if failure != nil || !synced {
		return nil, failure
	}
	return s.records(ctx, run, answered.Commands)
}

// records makes the records of the commands that an event led to.
func (s *Saga) records(ctx context.Context, run reactor.Run, commands []*angzarr.CommandBook) ([]log.Record, *reactor.Failure) {
	cause := &run.Pages[0]
	switch {
	case len(commands) > mostCommands:
		return nil, reactor.Refuse(codes.ResourceExhausted, "the saga answered %d commands to one event, more than %d", len(commands), mostCommands)
	case len(commands) > 0 && cause.Cause.Hops >= MostHops:
		return nil, &reactor.Failure{Fate: reactor.Ends, Status: status.Newf(codes.FailedPrecondition,
			"the event came of a command that has been through %d sagas, which is all that is allowed: it may be a loop, of which this saga is a part", cause.Cause.Hops)}
	}
	records := make([]log.Record, len(commands))
	for i, c := range commands {
		field := "commands[" + strconv.Itoa(i) + "]"
		if st := business.CheckCommands(c); st != nil {
			return nil, reactor.Refuse(codes.Internal, "the saga answered nonsense: %s.%s", field, st.Message())
		}
		partitions, st := s.c.Domains.Find(ctx, field+".cover.domain", c.Cover.Domain)
		switch {
		case st != nil && st.Code() == codes.NotFound:
			return nil, &reactor.Failure{Status: st}
		case st != nil:
			return nil, &reactor.Failure{Status: st, Fate: reactor.Waits}
		}
		s.sign(c, run, uint32(i))
		further := log.Cause{Traceparent: cause.Cause.Traceparent, Hops: c.SagaOrigin.Hops}
		if s.c.Synchronous {
			further.AnswerTo = log.BehindSaga(cause.Cause.AnswerTo, time.Now())
		}
		records[i] = business.CommandRecord(c, partitions, further)
		if size := records[i].Size(); size > mostBytes {
			return nil, reactor.Refuse(codes.ResourceExhausted, "the saga answered a command that is too large: %s has %d bytes, more than %d", field, size, mostBytes)
		}
	}
	return records, nil
}

// CommandsOf is how the ids of all commands begin that a saga makes of an event. An
// index follows.
func CommandsOf(name, domain string, root log.Root, sequence uint32) string {
	return name + "/" + domain + "/" + root.String() + "/" + strconv.FormatUint(uint64(sequence), 10) + "/"
}

// sign says whose a command is. What the saga said of that itself is replaced.
func (s *Saga) sign(c *angzarr.CommandBook, run reactor.Run, index uint32) {
	cause := &run.Pages[0]
	c.CommandId = CommandsOf(s.c.Name, run.Domain, run.Root, cause.Sequence) + strconv.FormatUint(uint64(index), 10)
	c.CorrelationId = cause.Cause.CorrelationID
	c.SagaOrigin = &angzarr.SagaOrigin{
		Saga: s.c.Name, Cause: run.Cover(),
		Sequence: cause.Sequence, Index: index, Hops: cause.Cause.Hops + 1,
	}
}
