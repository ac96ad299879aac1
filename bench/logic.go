package bench

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// logic is the business logic of a benchmark: each command becomes one event
// with the command's own bytes. It knows of a root only what the book says.
type logic struct {
	pb.UnimplementedBusinessLogicServer

	// delay is how long each decision takes; slow, for the slow root.
	delay, slow time.Duration
	// snapshotEvery is how many pages an open book may have before the answer
	// brings a snapshot.
	snapshotEvery int
}

func (l *logic) Handle(ctx context.Context, command *pb.ContextualCommand) (*pb.EventBook, error) {
	pages := command.GetCommand().GetPages()
	if len(pages) == 0 {
		return nil, status.Error(codes.InvalidArgument, "command.pages: none")
	}
	cover := command.GetCommand().GetCover()
	if err := l.think(ctx, cover.GetRoot().GetValue()); err != nil {
		return nil, err
	}

	answer := &pb.EventBook{Cover: cover}
	for _, page := range pages {
		answer.Pages = append(answer.Pages, &pb.EventPage{Event: page.GetCommand()})
	}
	if len(command.GetEvents().GetPages())+len(answer.Pages) >= l.snapshotEvery {
		answer.Snapshot = &pb.Snapshot{State: pages[0].GetCommand()}
	}
	return answer, nil
}

func (l *logic) think(ctx context.Context, r []byte) error {
	delay := l.delay
	if l.slow > 0 && string(r) == string(slowRoot[:]) {
		delay = l.slow
	}
	if delay == 0 {
		return nil
	}
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// serve starts the logic as a real gRPC service and returns its address. It
// ends when stop is called.
func (l *logic) serve(address string) (at string, stop func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", nil, fmt.Errorf("business logic: %w", err)
	}
	server := grpc.NewServer()
	pb.RegisterBusinessLogicServer(server, l)
	go server.Serve(listener) //nolint:errcheck // ends with Stop, and has no other end on loopback
	return listener.Addr().String(), server.Stop, nil
}
