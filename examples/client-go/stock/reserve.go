package stock

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	client "github.com/angzarr/angzarr-kafka/examples/client-go"
	"github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// Reserve sets pieces of a product aside for an order, as many as there are if
// there are less. An order that has some already gets no more.
func Reserve(ctx context.Context, c *client.Client, domain string, product uuid.UUID, order string, quantity uint32) error {
	cover := &angzarr.Cover{Domain: domain, Root: &angzarr.UUID{Value: product[:]}}
	_, err := c.Decide(ctx, cover, "reserve/"+order, func(book *angzarr.EventBook) (proto.Message, error) {
		free, reserved, err := read(book, order)
		switch {
		case err != nil:
			return nil, err
		case reserved:
			return nil, nil
		case free <= 0:
			return nil, fmt.Errorf("product %s is sold out", product)
		}
		return &inventory.ReserveStock{OrderId: order, Quantity: uint32(min(free, int64(quantity)))}, nil
	})
	return err
}

// read gives how much can be had, and whether an order has some of it.
func read(book *angzarr.EventBook, order string) (free int64, reserved bool, err error) {
	if state := book.GetSnapshot().GetState(); state != nil {
		var product inventory.Product
		if err := state.UnmarshalTo(&product); err != nil {
			return 0, false, err
		}
		free = int64(product.OnHand)
		for of, quantity := range product.Reservations {
			free -= int64(quantity)
			reserved = reserved || of == order
		}
	}
	for _, page := range book.Pages {
		change, err := changeOf(page)
		if err != nil {
			return 0, false, err
		}
		free += change
		var e inventory.StockReserved
		if page.GetEvent().MessageIs(&e) && page.GetEvent().UnmarshalTo(&e) == nil && e.OrderId == order {
			reserved = true
		}
		var r inventory.ReservationReleased
		if page.GetEvent().MessageIs(&r) && page.GetEvent().UnmarshalTo(&r) == nil && r.OrderId == order {
			reserved = false
		}
	}
	return free, reserved, nil
}
