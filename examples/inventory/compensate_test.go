package inventory

import (
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func TestCompensation(t *testing.T) {
	id := uuid.MustParse("0190c5f0-7c3a-7d4e-9f57-2f0d3f6f7a10")
	unwanted := rejection(t, id[:], &order.RecordReservation{Quantity: 7})
	for _, s := range []scenario{
		{
			name:  "an order that doesn't want its reservation gives it back",
			given: events{tenWidgets, &pb.StockReserved{OrderId: id.String(), Quantity: 7}, &pb.StockReserved{OrderId: "o-2", Quantity: 2}},
			when:  commands{unwanted},
			then:  events{&pb.ReservationReleased{OrderId: id.String(), Quantity: 7, Stock: widgets(10, 2)}},
		},
		{
			name: "it has given it back already",
			given: events{tenWidgets, &pb.StockReserved{OrderId: id.String(), Quantity: 7},
				&pb.ReservationReleased{OrderId: id.String(), Quantity: 7}},
			when: commands{unwanted},
		},
		{
			name:    "what nobody can make good is left to people",
			given:   events{tenWidgets, &pb.StockReserved{OrderId: id.String(), Quantity: 7}},
			when:    commands{rejection(t, id[:], &order.ShipOrder{})},
			refused: codes.FailedPrecondition, because: `nothing makes good a rejected "order.ShipOrder": not now`,
		},
		{
			name: "a rejection of nothing", given: events{tenWidgets},
			when:    commands{&angzarr.RejectionNotification{Message: "not now"}},
			refused: codes.FailedPrecondition, because: `nothing makes good a rejected "": not now`,
		},
		{
			name: "a rejection by nobody", given: events{tenWidgets},
			when:    commands{rejection(t, nil, &order.RecordReservation{})},
			refused: codes.InvalidArgument, because: "command.cover.root: ",
		},
	} {
		t.Run(s.name, s.run)
	}
}

// rejection is the news that a command of the saga was rejected by a root of
// another domain.
func rejection(t *testing.T, root []byte, command proto.Message) proto.Message {
	t.Helper()
	return &angzarr.RejectionNotification{
		Command: &angzarr.CommandBook{
			Cover: &angzarr.Cover{Domain: "order", Root: &angzarr.UUID{Value: root}},
			Pages: []*angzarr.CommandPage{{Command: pack(t, command)}},
		},
		Code: int32(codes.FailedPrecondition), Message: "not now", Saga: "order-fulfillment",
	}
}

// Readers take what an event says it has left at its word.
func TestEventsSayWhatTheyHaveLeft(t *testing.T) {
	product := &pb.Product{}
	for _, command := range (commands{
		&pb.CreateProduct{Sku: "WIDGET", Quantity: 10}, &pb.AdjustStock{Delta: 5},
		&pb.ReserveStock{OrderId: "o-1", Quantity: 4}, &pb.ReserveStock{OrderId: "o-2", Quantity: 3}, &pb.AdjustStock{Delta: -8},
		&pb.CommitReservation{OrderId: "o-1"}, &pb.ReleaseReservation{OrderId: "o-2"}, &pb.AdjustStock{Delta: -3},
	}) {
		event, err := decide(product, command)
		if err != nil {
			t.Fatal(err)
		}
		if err := apply(product, event); err != nil {
			t.Fatal(err)
		}
		says, ok := event.(interface{ GetStock() *pb.Stock })
		if !ok {
			continue // the first: all it leaves is what it says
		}
		if is := widgets(product.GetOnHand(), uint32(reserved(product))); !proto.Equal(says.GetStock(), is) {
			t.Errorf("%T says {%v}, it is {%v}", event, says.GetStock(), is)
		}
	}
	if product.GetOnHand() != 0 {
		t.Errorf("%d are left, want 0", product.GetOnHand())
	}
}
