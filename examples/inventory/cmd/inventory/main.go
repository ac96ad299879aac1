// Command inventory serves the inventory example's business logic over gRPC,
// with health and reflection, until SIGTERM or SIGINT.
package main

import (
	"context"
	"flag"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:50051", "`address` to answer on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *listen); err != nil {
		slog.Error("inventory ended", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	slog.Info("inventory answers", "address", listener.Addr().String())
	return inventory.Serve(ctx, listener)
}
