package orderfulfillment

import (
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// react says which commands an event of an order or a product leads to. An order
// is known to the inventory by its root's text form, a product to the order by
// its own.
func (s Saga) react(root uuid.UUID, number uint32, event proto.Message) ([]*angzarr.CommandBook, error) {
	id := root.String()
	switch e := event.(type) {
	case *order.OrderPlaced:
		return s.forEach(e.GetLines(), func(l *order.Line) proto.Message {
			return &inventory.ReserveStock{OrderId: id, Quantity: l.GetQuantity()}
		})
	case *order.OrderShipped:
		return s.forEach(e.GetLines(), func(*order.Line) proto.Message {
			return &inventory.CommitReservation{OrderId: id}
		})
	case *order.OrderCancelled:
		return s.release(id, e.GetReserved())
	case *order.OrderRejected:
		return s.release(id, e.GetReserved())
	case *inventory.StockReserved:
		customer, err := uuid.Parse(e.GetOrderId())
		if err != nil || customer.String() != e.GetOrderId() {
			return nil, nil // reserved by hand, for no order of the order domain
		}
		book, err := command(s.orders(), customer, &order.RecordReservation{ProductId: id, Quantity: e.GetQuantity(), Reservation: number})
		return []*angzarr.CommandBook{book}, err
	}
	return nil, nil
}

func (s Saga) release(id string, lines []*order.Line) ([]*angzarr.CommandBook, error) {
	return s.forEach(lines, func(*order.Line) proto.Message { return &inventory.ReleaseReservation{OrderId: id} })
}

// forEach makes a command for the product of each line.
func (s Saga) forEach(lines []*order.Line, say func(*order.Line) proto.Message) (books []*angzarr.CommandBook, err error) {
	for i, l := range lines {
		product, err := uuid.Parse(l.GetProductId())
		if err != nil {
			return nil, fmt.Errorf("line %d: product_id: %w", i, err)
		}
		book, err := command(s.inventory(), product, say(l))
		if err != nil {
			return nil, err
		}
		books = append(books, book)
	}
	return books, nil
}

// command is for one aggregate. Who sent it, and under which id, its coordinator
// adds.
func command(domain string, root uuid.UUID, message proto.Message) (*angzarr.CommandBook, error) {
	packed, err := anypb.New(message)
	if err != nil {
		return nil, fmt.Errorf("pack %T: %w", message, err)
	}
	return &angzarr.CommandBook{
		Cover: &angzarr.Cover{Domain: domain, Root: &angzarr.UUID{Value: root[:]}},
		Pages: []*angzarr.CommandPage{{Command: packed}},
	}, nil
}

func rootOf(book *angzarr.EventBook) (uuid.UUID, error) {
	root, err := uuid.FromBytes(book.GetCover().GetRoot().GetValue())
	if err != nil {
		return root, status.Errorf(codes.InvalidArgument, "cover.root: %v", err)
	}
	return root, nil
}
