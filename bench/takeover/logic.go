package takeover

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/grpc"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// snapshotEvery is how many pages an open book may have before logic returns a
// snapshot.
const snapshotEvery = 4

// logic answers every command with one event that holds the command's bytes.
type logic struct {
	pb.UnimplementedBusinessLogicServer
}

func (logic) Handle(_ context.Context, c *pb.ContextualCommand) (*pb.EventBook, error) {
	command := c.GetCommand()
	answer := &pb.EventBook{Cover: command.GetCover()}
	for _, page := range command.GetPages() {
		answer.Pages = append(answer.Pages, &pb.EventPage{Event: page.GetCommand()})
	}
	if len(c.GetEvents().GetPages())+len(answer.Pages) >= snapshotEvery {
		answer.Snapshot = &pb.Snapshot{State: command.GetPages()[0].GetCommand()}
	}
	return answer, nil
}

// serveLogic starts it as a real service on loopback.
func serveLogic() (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("business logic: %w", err)
	}
	server := grpc.NewServer()
	pb.RegisterBusinessLogicServer(server, logic{})
	go server.Serve(listener) //nolint:errcheck // ends with Stop, and has no other end on loopback
	return listener.Addr().String(), server.Stop, nil
}
