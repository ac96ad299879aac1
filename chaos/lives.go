package chaos

import (
	"fmt"

	"google.golang.org/protobuf/types/known/anypb"

	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	orderpb "github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/log"
)

// standing is where an order stands.
type standing string

const (
	placed    standing = "placed"
	confirmed standing = "confirmed"
	shipped   standing = "shipped"
	cancelled standing = "cancelled"
	rejected  standing = "rejected"
)

// life is an order as its events tell it, folded by other rules than the
// example's own: those of the world.
type life struct {
	state standing
	lines map[log.Root]uint32 // how much of which product
	set   map[log.Root]bool   // the lines that are reserved
	wrong string
}

// live takes an event in, and says why it can't be.
func (o *life) live(packed *anypb.Any) string {
	event, err := packed.UnmarshalNew()
	if err != nil {
		return err.Error()
	}
	switch e := event.(type) {
	case *orderpb.OrderPlaced:
		if o.state != "" {
			return "it was placed before"
		}
		o.state = placed
		for _, l := range e.GetLines() {
			o.lines[productOf(l)] = l.GetQuantity()
		}
		return ""
	case *orderpb.LineReserved:
		product := productOf(&orderpb.Line{ProductId: e.GetProductId()})
		if o.state != placed || o.set[product] || o.lines[product] != e.GetQuantity() {
			return fmt.Sprintf("it is %s, and wants %d of it, reserved: %v", o.state, o.lines[product], o.set[product])
		}
		o.set[product] = true
		return ""
	case *orderpb.OrderConfirmed:
		if o.state != placed || len(o.set) < len(o.lines) {
			return fmt.Sprintf("it is %s, with %d of %d lines reserved", o.state, len(o.set), len(o.lines))
		}
		o.state = confirmed
		return ""
	case *orderpb.OrderShipped:
		return o.end(shipped, o.state == confirmed, e.GetLines())
	case *orderpb.OrderCancelled:
		return o.end(cancelled, o.state == placed || o.state == confirmed, e.GetReserved())
	case *orderpb.OrderRejected:
		return o.end(rejected, o.state == placed, e.GetReserved())
	}
	return "that is no event of an order"
}

// end is an order's end; it names the lines that are reserved.
func (o *life) end(state standing, may bool, lines []*orderpb.Line) string {
	if !may {
		return "it is " + string(o.state)
	}
	o.state = state
	named := make(map[log.Root]bool)
	for _, l := range lines {
		named[productOf(l)] = true
	}
	for product := range o.lines {
		if named[product] != o.set[product] {
			return fmt.Sprintf("it names product %s as reserved: %v, and that is %v", product, named[product], o.set[product])
		}
	}
	return ""
}

// productOf is the root of a line's product; no product has the zero one.
func productOf(l *orderpb.Line) log.Root {
	root, _ := log.ParseRoot(l.GetProductId())
	return root
}

// holding is what became of a reservation.
type holding string

const (
	none      holding = "" // there never was one
	held      holding = "held"
	committed holding = "committed"
	released  holding = "released"
)

type reservation struct {
	is       holding
	quantity uint32
}

// store is a product as its events tell it.
type store struct {
	there            bool
	onHand, reserved int64
	of               map[log.Root]reservation // by order
	wrong            string
}

// take takes an event in, and says why it can't be.
func (s *store) take(packed *anypb.Any) string {
	event, err := packed.UnmarshalNew()
	if err != nil {
		return err.Error()
	}
	created, isFirst := event.(*stock.ProductCreated)
	if isFirst == s.there {
		return fmt.Sprintf("the product is there: %v", s.there)
	}
	var why string
	var left *stock.Stock
	switch e := event.(type) {
	case *stock.ProductCreated:
		s.there, s.onHand = true, int64(created.GetQuantity())
		return ""
	case *stock.StockAdjusted:
		s.onHand += int64(e.GetDelta())
		left = e.GetStock()
	case *stock.StockReserved:
		why = s.become(e.GetOrderId(), none, held, e.GetQuantity())
		s.reserved += int64(e.GetQuantity())
		left = e.GetStock()
	case *stock.ReservationCommitted:
		why = s.become(e.GetOrderId(), held, committed, e.GetQuantity())
		s.reserved -= int64(e.GetQuantity())
		s.onHand -= int64(e.GetQuantity())
		left = e.GetStock()
	case *stock.ReservationReleased:
		why = s.become(e.GetOrderId(), held, released, e.GetQuantity())
		s.reserved -= int64(e.GetQuantity())
		left = e.GetStock()
	default:
		return "that is no event of a product"
	}
	switch {
	case why != "":
		return why
	case int64(left.GetOnHand()) != s.onHand || int64(left.GetReserved()) != s.reserved:
		return fmt.Sprintf("the events make %d on hand, and %d reserved", s.onHand, s.reserved)
	case s.reserved > s.onHand || s.reserved < 0:
		return fmt.Sprintf("%d are reserved of %d on hand", s.reserved, s.onHand)
	}
	return ""
}

// become changes an order's reservation.
func (s *store) become(order string, from, to holding, quantity uint32) string {
	root, err := log.ParseRoot(order)
	if err != nil {
		return err.Error()
	}
	was := s.of[root]
	s.of[root] = reservation{to, quantity}
	if was.is != from || from != none && was.quantity != quantity {
		return fmt.Sprintf("the order's reservation was %d %s", was.quantity, was.is)
	}
	return ""
}
