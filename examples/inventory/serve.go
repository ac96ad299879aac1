package inventory

import (
	"context"
	"net"

	"google.golang.org/grpc"

	"github.com/angzarr/angzarr-kafka/examples/serving"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// Register puts the business logic on a server, with health and with
// reflection, from which others learn the domain's types.
func Register(server *grpc.Server) {
	angzarr.RegisterBusinessLogicServer(server, Logic{})
	serving.Describe(server)
}

// Serve answers calls on the listener until ctx ends. It closes the listener.
func Serve(ctx context.Context, listener net.Listener) error {
	return serving.Serve(ctx, listener, Register)
}
