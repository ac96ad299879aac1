// Package serving puts the examples on the network: a gRPC server with health
// and reflection, and the program around it.
//
//	main ──► Main ──► Serve ──► register the service ──► Describe
//	         flags    a listener, until ctx ends
package serving

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
)

// stopGrace is how long a stop waits for calls under way. Decisions take
// microseconds; only a client that watches the health never hangs up by itself.
const stopGrace = 2 * time.Second

// Describe adds health, for each service that is registered by now, and
// reflection, from which others learn the services' types.
func Describe(server *grpc.Server) {
	state := health.NewServer()
	for name := range server.GetServiceInfo() {
		state.SetServingStatus(name, grpc_health_v1.HealthCheckResponse_SERVING)
	}
	grpc_health_v1.RegisterHealthServer(server, state)
	reflection.Register(server)
}

// Serve answers calls on the listener until ctx ends, lets those under way
// finish, and returns nil. It closes the listener.
func Serve(ctx context.Context, listener net.Listener, register func(*grpc.Server)) error {
	server := grpc.NewServer()
	register(server)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	cutOff := time.AfterFunc(stopGrace, server.Stop)
	defer cutOff.Stop()
	server.GracefulStop()
	<-ended // after a stop there is nothing left that could have failed
	return nil
}

// Main is all of an example's program: it serves at -listen until SIGTERM or
// SIGINT, or says with -health whether another process of it does.
func Main(name, address string, register func(*grpc.Server)) {
	listen := flag.String("listen", address, "`address` to answer on")
	health := flag.Bool("health", false, "ask who answers there how it is, and end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	err := error(nil)
	if *health {
		err = Healthy(ctx, *listen)
	} else {
		err = run(ctx, name, *listen, register)
	}
	if err != nil {
		slog.Error(name+" ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name, address string, register func(*grpc.Server)) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	slog.Info(name+" answers", "address", listener.Addr().String())
	return Serve(ctx, listener, register)
}
