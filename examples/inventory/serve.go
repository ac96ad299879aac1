package inventory

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// stopGrace is how long a stop waits for calls under way. Decisions take
// microseconds; only a client that watches the health never hangs up by itself.
const stopGrace = 2 * time.Second

// Register puts the business logic on a server, with health and with
// reflection, from which others learn the domain's types.
func Register(server *grpc.Server) {
	angzarr.RegisterBusinessLogicServer(server, Logic{})
	state := health.NewServer()
	state.SetServingStatus(angzarr.BusinessLogic_ServiceDesc.ServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	grpc_health_v1.RegisterHealthServer(server, state)
	reflection.Register(server)
}

// Serve answers calls on the listener until ctx ends, lets those under way
// finish, and returns nil. It closes the listener.
func Serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer()
	Register(server)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve inventory on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	cutOff := time.AfterFunc(stopGrace, server.Stop)
	defer cutOff.Stop()
	server.GracefulStop()
	<-ended // after a stop there is nothing left that could have failed
	return nil
}
