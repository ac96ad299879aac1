package main

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	"github.com/angzarr/angzarr-kafka/examples/order"
	"github.com/angzarr/angzarr-kafka/examples/orderfulfillment"
	inventorypb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	orderpb "github.com/angzarr/angzarr-kafka/examples/proto/order"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// TestExamplesTogether has the examples' orders fulfilled, and rejected where
// stock is short: by the saga, and by what comes back to who caused it.
func TestExamplesTogether(t *testing.T) {
	args := []string{"dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--data", ""}
	for flag, register := range map[string]func(*grpc.Server){
		"--logic inventory=": inventory.Register, "--logic order=": order.Register,
		"--saga fulfillment=": orderfulfillment.Register, "--projector summary=": inventorysummary.Register,
	} {
		server := grpc.NewServer()
		register(server)
		address, err := listenAndServe(server)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Stop)
		args = append(args, strings.Fields(flag+address)...)
	}
	r := start(t, t.TempDir(), args...)
	door := dialDoor(t, r.wait(t, `^front door +(\S+)`)[1])
	product, fulfilled, short := uuid.New(), uuid.New(), uuid.New()
	door.send(t, "inventory", product, &inventorypb.CreateProduct{Sku: "LAMP", Name: "Lamp", Quantity: 5})
	place := func(root uuid.UUID, quantity uint32) {
		door.send(t, "order", root, &orderpb.PlaceOrder{Lines: []*orderpb.Line{{ProductId: product.String(), Quantity: quantity}}})
	}
	place(fulfilled, 3)
	door.types(t, "order", fulfilled, "OrderPlaced, LineReserved, OrderConfirmed")
	place(short, 3)
	door.types(t, "order", short, "OrderPlaced, OrderRejected")
	door.send(t, "order", fulfilled, &orderpb.ShipOrder{})
	door.types(t, "inventory", product, "ProductCreated, StockReserved, ReservationCommitted")
	r.stop(t, syscall.SIGTERM)
}

func (d doorOf) send(t *testing.T, domain string, root uuid.UUID, command proto.Message) {
	t.Helper()
	packed, err := anypb.New(command)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := d.Handle(ctx, &pb.CommandBook{
		Cover: &pb.Cover{Domain: domain, Root: &pb.UUID{Value: root[:]}},
		Pages: []*pb.CommandPage{{Command: packed}},
	}); err != nil {
		t.Fatal(err)
	}
}

// types waits until the aggregate's events are of these types.
func (d doorOf) types(t *testing.T, domain string, root uuid.UUID, want string) {
	t.Helper()
	var got string
	waitFor(t, domain+"/"+root.String()+": "+want, func() bool {
		var names []string
		for _, url := range strings.Split(d.says(t, t.Context(), domain, root), ", ") {
			names = append(names, url[strings.LastIndexByte(url, '.')+1:])
		}
		got = strings.Join(names, ", ")
		return got == want
	})
}
