package inventory

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// fold makes the state of a product out of its open book: the snapshot, if
// there is one, and the pages after it. A product without history is empty.
func fold(book *angzarr.EventBook) (*pb.Product, error) {
	product := &pb.Product{}
	if state := book.GetSnapshot().GetState(); state != nil {
		if err := state.UnmarshalTo(product); err != nil {
			return nil, fmt.Errorf("snapshot of page %d: %w", book.GetSnapshot().GetSequence(), err)
		}
	}
	for _, page := range book.GetPages() {
		event, err := page.GetEvent().UnmarshalNew()
		if err != nil {
			return nil, fmt.Errorf("page %d: %q: %w", page.GetNum(), page.GetEvent().GetTypeUrl(), err)
		}
		if err := apply(product, event); err != nil {
			return nil, fmt.Errorf("page %d: %w", page.GetNum(), err)
		}
	}
	return product, nil
}

// apply changes the product by one event. It never refuses what has happened:
// its only error is an event that it doesn't know.
func apply(product *pb.Product, event proto.Message) error {
	switch e := event.(type) {
	case *pb.ProductCreated:
		product.Sku, product.Name, product.OnHand = e.GetSku(), e.GetName(), e.GetQuantity()
	case *pb.StockAdjusted:
		product.OnHand = uint32(int64(product.GetOnHand()) + int64(e.GetDelta()))
	case *pb.StockReserved:
		if product.Reservations == nil {
			product.Reservations = map[string]uint32{}
		}
		product.Reservations[e.GetOrderId()] = e.GetQuantity()
	case *pb.ReservationCommitted:
		product.OnHand -= e.GetQuantity()
		delete(product.GetReservations(), e.GetOrderId())
	case *pb.ReservationReleased:
		delete(product.GetReservations(), e.GetOrderId())
	default:
		return fmt.Errorf("not an event of the inventory: %s", proto.MessageName(event))
	}
	return nil
}

// reserved is what all orders together have set aside.
func reserved(product *pb.Product) int64 {
	var sum int64
	for _, quantity := range product.GetReservations() {
		sum += int64(quantity)
	}
	return sum
}
