// Command stock keeps a read model of the inventory domain in a file, how many
// pieces of each product can be had, and reserves some for an order.
//
//	stock follow stock.json
//	stock reserve ROOT ORDER QUANTITY
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	client "github.com/angzarr/angzarr-kafka/examples/client-go"
	"github.com/angzarr/angzarr-kafka/examples/client-go/stock"
)

const usage = "usage: stock follow FILE | stock reserve ROOT ORDER QUANTITY\nANGZARR_SERVER is the front door's address, 127.0.0.1:50050 if it is not set"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	server := os.Getenv("ANGZARR_SERVER")
	if server == "" {
		server = "127.0.0.1:50050"
	}
	conn, err := grpc.NewClient(server, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	c := client.New(conn)
	switch {
	case len(args) == 2 && args[0] == "follow":
		model, err := stock.Open(args[1])
		if err != nil {
			return err
		}
		return model.Follow(ctx, c, "inventory")
	case len(args) == 4 && args[0] == "reserve":
		root, err := uuid.Parse(args[1])
		if err != nil {
			return fmt.Errorf("%w\n%s", err, usage)
		}
		quantity, err := strconv.ParseUint(args[3], 10, 32)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, usage)
		}
		return stock.Reserve(ctx, c, "inventory", root, args[2], uint32(quantity))
	}
	return fmt.Errorf("%s", usage)
}
