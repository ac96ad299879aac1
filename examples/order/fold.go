package order

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// order is an order as its events made it.
type order struct {
	state state
	why   string // it was cancelled or rejected
	lines []line
}

// line is so much of a product, and whether the inventory has set it aside.
type line struct {
	product  string
	quantity uint32
	reserved bool
	by       uint32 // the number of the product's event
}

// state is where an order stands; refusals say it.
type state string

const (
	none      state = ""
	placed    state = "placed"
	confirmed state = "confirmed"
	shipped   state = "shipped"
	cancelled state = "cancelled"
	rejected  state = "rejected"
)

// fold makes the state of an order out of its history. An order without history
// is not placed yet.
func fold(book *angzarr.EventBook) (*order, error) {
	o := &order{}
	for _, page := range book.GetPages() {
		event, err := page.GetEvent().UnmarshalNew()
		if err != nil {
			return nil, fmt.Errorf("page %d: %q: %w", page.GetNum(), page.GetEvent().GetTypeUrl(), err)
		}
		if err := o.apply(event); err != nil {
			return nil, fmt.Errorf("page %d: %w", page.GetNum(), err)
		}
	}
	return o, nil
}

// apply changes the order by one event. It never refuses what has happened: its
// only error is an event that it doesn't know.
func (o *order) apply(event proto.Message) error {
	switch e := event.(type) {
	case *pb.OrderPlaced:
		o.state = placed
		for _, l := range e.GetLines() {
			o.lines = append(o.lines, line{product: l.GetProductId(), quantity: l.GetQuantity()})
		}
	case *pb.LineReserved:
		if l := o.line(e.GetProductId()); l != nil {
			l.reserved, l.by = true, e.GetReservation()
		}
	case *pb.OrderConfirmed:
		o.state = confirmed
	case *pb.OrderShipped:
		o.state = shipped
	case *pb.OrderCancelled:
		o.state, o.why = cancelled, e.GetReason()
	case *pb.OrderRejected:
		o.state, o.why = rejected, e.GetReason()
	default:
		return fmt.Errorf("not an event of an order: %s", proto.MessageName(event))
	}
	return nil
}

// line is the order's line of a product; nil, if there is none.
func (o *order) line(product string) *line {
	for i := range o.lines {
		if o.lines[i].product == product {
			return &o.lines[i]
		}
	}
	return nil
}

// reserved are the lines that are set aside, as an event tells them.
func (o *order) reserved() (lines []*pb.Line) {
	for _, l := range o.lines {
		if l.reserved {
			lines = append(lines, &pb.Line{ProductId: l.product, Quantity: l.quantity})
		}
	}
	return lines
}

// open is how many lines are not reserved yet.
func (o *order) open() int { return len(o.lines) - len(o.reserved()) }
