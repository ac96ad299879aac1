package order

import (
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	pb "github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func TestCompensation(t *testing.T) {
	product := uuid.MustParse(chair)
	short := rejection(t, product[:], &inventory.ReserveStock{Quantity: 4})
	for _, s := range []scenario{
		{
			name: "an order without one of its lines is rejected", given: events{placedBoth},
			when: commands{short},
			then: events{rejects},
		},
		{
			name: "a rejected order names what is reserved", given: events{placedBoth, lampIsSet},
			when: commands{short},
			then: events{&pb.OrderRejected{Reason: "not now", ProductId: chair, Reserved: lines(of(lamp, 1))}},
		},
		{name: "an order is rejected once", given: events{placedBoth, rejects}, when: commands{short}},
		{name: "a cancelled order needs no rejection", given: events{placedBoth, cancels}, when: commands{short}},
		{name: "what is reserved already is not missing", given: events{placedBoth, chairsAre}, when: commands{short}},
		{name: "nor once it is shipped", given: events{placedBoth, chairsAre, lampIsSet, confirms, ships}, when: commands{short}},
		{
			name: "what nobody can make good is left to people", given: events{placedBoth, chairsAre, cancels},
			when:    commands{rejection(t, product[:], &inventory.ReleaseReservation{})},
			refused: codes.FailedPrecondition, because: `nothing makes good a rejected "inventory.ReleaseReservation": not now`,
		},
		{
			name: "a rejection of nothing", given: events{placedBoth},
			when:    commands{&angzarr.RejectionNotification{Message: "not now"}},
			refused: codes.FailedPrecondition, because: `nothing makes good a rejected "": not now`,
		},
		{
			name: "a rejection by nobody", given: events{placedBoth},
			when:    commands{rejection(t, nil, &inventory.ReserveStock{})},
			refused: codes.InvalidArgument, because: "command.cover.root: ",
		},
		{
			name: "a rejection by another product", given: events{&pb.OrderPlaced{Lines: lines(of(lamp, 1))}},
			when:    commands{short},
			refused: codes.FailedPrecondition, because: "no line of product " + chair,
		},
		{name: "a rejection for what never was", when: commands{short}, refused: codes.NotFound, because: "no such order"},
	} {
		t.Run(s.name, s.run)
	}
}

// rejection is the news that a command of the saga was rejected by a product.
func rejection(t *testing.T, root []byte, command proto.Message) proto.Message {
	t.Helper()
	return &angzarr.RejectionNotification{
		Command: &angzarr.CommandBook{
			Cover: &angzarr.Cover{Domain: "inventory", Root: &angzarr.UUID{Value: root}},
			Pages: []*angzarr.CommandPage{{Command: pack(t, command)}},
		},
		Code: int32(codes.FailedPrecondition), Message: "not now", Saga: "order-fulfillment",
	}
}
