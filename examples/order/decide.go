package order

import (
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// mostLines keeps an order's history short, and what the saga makes of it.
const mostLines = 100

// decide says which events a command leads to, or refuses it with a status that
// the caller gets as it is. A command that has been done already leads to none.
func decide(o *order, command proto.Message) ([]proto.Message, error) {
	if c, ok := command.(*pb.PlaceOrder); ok {
		return place(o, c)
	}
	if o.state == none {
		return nil, status.Error(codes.NotFound, "no such order: place it first")
	}
	switch c := command.(type) {
	case *pb.RecordReservation:
		return record(o, c)
	case *pb.ShipOrder:
		return ship(o)
	case *pb.CancelOrder:
		return cancel(o, c)
	case *angzarr.RejectionNotification:
		return compensate(o, c)
	}
	return nil, invalid("command", "unknown type %s: want order.PlaceOrder, RecordReservation, ShipOrder or CancelOrder",
		proto.MessageName(command))
}

func place(o *order, c *pb.PlaceOrder) ([]proto.Message, error) {
	if o.state != none {
		return nil, status.Errorf(codes.AlreadyExists, "the order is %s already", o.state)
	}
	if n := len(c.GetLines()); n == 0 || n > mostLines {
		return nil, invalid("lines", "want 1 to %d, not %d", mostLines, n)
	}
	event, first := &pb.OrderPlaced{}, make(map[uuid.UUID]int)
	for i, l := range c.GetLines() {
		product, err := uuid.Parse(l.GetProductId())
		if err != nil {
			return nil, invalid(fmt.Sprintf("lines[%d].product_id", i), "want a product's UUID: %v", err)
		}
		if before, ok := first[product]; ok {
			return nil, invalid(fmt.Sprintf("lines[%d].product_id", i), "is that of lines[%d] too: want one line a product", before)
		}
		if l.GetQuantity() == 0 {
			return nil, invalid(fmt.Sprintf("lines[%d].quantity", i), "must not be zero")
		}
		first[product] = i
		event.Lines = append(event.Lines, &pb.Line{ProductId: product.String(), Quantity: l.GetQuantity()})
	}
	return []proto.Message{event}, nil
}

// record refuses what the order doesn't want, so that the product gets it back.
func record(o *order, c *pb.RecordReservation) ([]proto.Message, error) {
	l := o.line(c.GetProductId())
	if o.state == shipped && l != nil && l.by == c.GetReservation() {
		return nil, nil // it is what was shipped, and not to be given back
	}
	if o.state != placed && o.state != confirmed {
		return nil, status.Errorf(codes.FailedPrecondition, "the order is %s: it wants no stock any more", o.state)
	}
	if l == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "the order has no line of product %q", c.GetProductId())
	}
	if c.GetQuantity() != l.quantity {
		return nil, status.Errorf(codes.FailedPrecondition, "the order wants %d of product %s, not %d",
			l.quantity, l.product, c.GetQuantity())
	}
	if l.reserved {
		return nil, nil
	}
	events := []proto.Message{&pb.LineReserved{ProductId: l.product, Quantity: l.quantity, Reservation: c.GetReservation()}}
	if o.open() == 1 {
		events = append(events, &pb.OrderConfirmed{})
	}
	return events, nil
}

func ship(o *order) ([]proto.Message, error) {
	switch o.state {
	case confirmed:
		return []proto.Message{&pb.OrderShipped{Lines: o.reserved()}}, nil
	case placed:
		return nil, status.Errorf(codes.FailedPrecondition, "the order is not confirmed: %d of %d lines are not reserved",
			o.open(), len(o.lines))
	}
	return nil, ended(o)
}

func cancel(o *order, c *pb.CancelOrder) ([]proto.Message, error) {
	if o.state != placed && o.state != confirmed {
		return nil, ended(o)
	}
	return []proto.Message{&pb.OrderCancelled{Reason: c.GetReason(), Reserved: o.reserved()}}, nil
}

// ended refuses what comes too late.
func ended(o *order) error {
	if o.why != "" {
		return status.Errorf(codes.FailedPrecondition, "the order is %s: %s", o.state, o.why)
	}
	return status.Errorf(codes.FailedPrecondition, "the order is %s", o.state)
}

// invalid refuses a command that no state could accept, and names the field.
func invalid(field, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	refusal := status.Newf(codes.InvalidArgument, "%s: %s", field, why)
	detailed, err := refusal.WithDetails(&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: why}},
	})
	if err != nil {
		return refusal.Err()
	}
	return detailed.Err()
}
