package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/angzarr/angzarr-kafka/log"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// snapshotAfter is how many pages an open book has before a snapshot is taken.
const snapshotAfter = 25

// logic is the business logic: it knows of a root only what the book says.
type logic struct {
	pb.UnimplementedBusinessLogicServer
	slowest time.Duration // a decision takes up to that long
}

// serve starts the logic as a service of its own.
func (l *logic) serve() (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("business logic: %w", err)
	}
	server := grpc.NewServer()
	pb.RegisterBusinessLogicServer(server, l)
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	return listener.Addr().String(), server.Stop, nil
}

// Handle decides after a random while, so that decisions of many roots are
// always under way.
func (l *logic) Handle(ctx context.Context, c *pb.ContextualCommand) (*pb.EventBook, error) {
	if l.slowest > 0 {
		timer := time.NewTimer(rand.N(l.slowest))
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		case <-timer.C:
		}
	}
	s, err := stateOf(c.Events)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	o, err := parseOrder(textOf(c.Command.Pages[0].Command))
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	after := o.decide(s.Value)
	if len(after) == 0 {
		return nil, status.Error(codes.FailedPrecondition, s.refused())
	}
	answer := &pb.EventBook{Cover: c.Command.Cover}
	for i, value := range after {
		e := event{Value: value, Part: i + 1, All: len(after), ID: c.Command.CommandId}
		answer.Pages = append(answer.Pages, &pb.EventPage{Event: text(e.String())})
		if len(c.Events.GetPages()) >= snapshotAfter {
			answer.Snapshot = &pb.Snapshot{State: text(e.String())}
		}
	}
	return answer, nil
}

// stateOf folds an open book.
func stateOf(b *pb.EventBook) (s state, err error) {
	last := ""
	if b.GetSnapshot() != nil {
		s.Last, last = b.Snapshot.Sequence, textOf(b.Snapshot.State)
	}
	for _, p := range b.GetPages() {
		if p.GetNum() != s.Last+1 {
			return s, fmt.Errorf("an open book has page %d behind page %d", p.GetNum(), s.Last)
		}
		s.Last, last = p.GetNum(), textOf(p.Event)
	}
	if last == "" {
		return s, nil
	}
	e, err := parseEvent(last)
	s.Value = e.Value
	return s, err
}

func text(s string) *anypb.Any { return pack(wrapperspb.String(s)) }

func pack(message proto.Message) *anypb.Any {
	a, err := anypb.New(message)
	if err != nil {
		panic("chaos: " + err.Error()) // made here
	}
	return a
}

// textOf is the text itself, or all that a message says.
func textOf(a *anypb.Any) string {
	message, err := a.UnmarshalNew()
	if err != nil {
		return fmt.Sprintf("%s, which can't be read: %v", a.GetTypeUrl(), err)
	}
	if s, ok := message.(*wrapperspb.StringValue); ok {
		return s.Value
	}
	return said(message)
}

func said(message proto.Message) string {
	return fmt.Sprintf("%s {%v}", message.ProtoReflect().Descriptor().FullName(), message)
}

func coverOf(domain string, root log.Root) *pb.Cover {
	return &pb.Cover{Domain: domain, Root: &pb.UUID{Value: root[:]}}
}

func bookOf(domain string, t *try) *pb.CommandBook {
	return &pb.CommandBook{
		Cover: coverOf(domain, t.Root), CommandId: t.ID,
		Pages: []*pb.CommandPage{{Sequence: t.Expected, Command: t.command()}},
	}
}
