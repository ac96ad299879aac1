package serving_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/angzarr/angzarr-kafka/examples/serving"
	"github.com/angzarr/angzarr-kafka/examples/serving/servingtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func register(server *grpc.Server) {
	angzarr.RegisterSagaServer(server, angzarr.UnimplementedSagaServer{})
	angzarr.RegisterProjectorServer(server, angzarr.UnimplementedProjectorServer{})
	serving.Describe(server)
}

func TestDescribe(t *testing.T) {
	conn := servingtest.Dial(t, register)
	servingtest.Described(t, conn, "angzarr.Saga", "angzarr.CommandBook")
	servingtest.Described(t, conn, "angzarr.Projector", "angzarr.Projection")
}

// Who watches the health never hangs up; the stop doesn't wait for that for ever.
func TestAWatcherDoesNotHoldTheStop(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serving.Serve(ctx, listener, register) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("serving ended with %v", err)
	}
	if _, err := watch.Recv(); err == nil {
		t.Error("the watcher was not cut off")
	}
}

func TestServeSaysWhyItCannot(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := serving.Serve(t.Context(), listener, register); err == nil {
		t.Error("served on a closed listener")
	}
}

func TestHealthy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serving.Serve(ctx, listener, register) }()
	if err := serving.Healthy(t.Context(), address); err != nil {
		t.Errorf("while it serves: %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if serving.Healthy(t.Context(), address) == nil {
		t.Error("healthy after its end")
	}
}
