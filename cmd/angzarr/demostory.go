package main

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	"github.com/angzarr/angzarr-kafka/log"

	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	summary "github.com/angzarr/angzarr-kafka/examples/proto/inventorysummary"
	"github.com/angzarr/angzarr-kafka/examples/proto/order"
)

const (
	stockDomain   = "inventory"
	orderDomain   = "order"
	demoSaga      = "order-fulfillment"
	demoProjector = inventorysummary.Name
)

// step is one command of the demo, and what it must lead to.
type step struct {
	of      *aggregate
	command proto.Message
	event   proto.Message // nil: it must be refused
	refused codes.Code
}

// aggregate is one of the demo's.
type aggregate struct {
	domain, name string
	root         log.Root
	book         []proto.Message         // the events that it must have in the end, from page 1
	left         *summary.ProductSummary // what must be published of it in the end; nil for none
}

// story is what the demo sends: calls first, then records, which meet the calls
// on the same products. The books of the products say what must come of it.
func story(lamp, chair, table *aggregate) (calls, records []step) {
	calls = []step{
		{of: lamp, command: &stock.CreateProduct{Sku: "LAMP", Name: "Desk lamp", Quantity: 10},
			event: &stock.ProductCreated{Sku: "LAMP", Name: "Desk lamp", Quantity: 10}},
		{of: chair, command: &stock.CreateProduct{Sku: "CHAIR", Name: "Chair", Quantity: 4},
			event: &stock.ProductCreated{Sku: "CHAIR", Name: "Chair", Quantity: 4}},
		{of: lamp, command: &stock.AdjustStock{Delta: -3, Reason: "sold"},
			event: &stock.StockAdjusted{Delta: -3, Reason: "sold", Stock: &stock.Stock{Sku: "LAMP", OnHand: 7}}},
		{of: chair, command: &stock.AdjustStock{Delta: -5, Reason: "sold"},
			refused: codes.FailedPrecondition},
	}
	records = []step{
		{of: table, command: &stock.CreateProduct{Sku: "TABLE", Name: "Table", Quantity: 2},
			event: &stock.ProductCreated{Sku: "TABLE", Name: "Table", Quantity: 2}},
		{of: table, command: &stock.AdjustStock{Delta: 6, Reason: "delivery"},
			event: &stock.StockAdjusted{Delta: 6, Reason: "delivery", Stock: &stock.Stock{Sku: "TABLE", OnHand: 8}}},
		{of: lamp, command: &stock.AdjustStock{Delta: 20, Reason: "delivery"},
			event: &stock.StockAdjusted{Delta: 20, Reason: "delivery", Stock: &stock.Stock{Sku: "LAMP", OnHand: 27}}},
		{of: table, command: &stock.AdjustStock{Delta: -9, Reason: "sold"},
			refused: codes.FailedPrecondition},
	}
	for _, s := range append(calls[:len(calls):len(calls)], records...) {
		if s.event != nil {
			s.of.book = append(s.of.book, s.event)
		}
	}
	return calls, records
}

// orders are two: of lamps, which are there, and of more chairs than there are.
// The books say what the saga must have made of them.
func orders(had, short, lamp, chair *aggregate) []step {
	lamps := &order.Line{ProductId: lamp.root.String(), Quantity: 3}
	chairs := &order.Line{ProductId: chair.root.String(), Quantity: 5}
	lamp.book = append(lamp.book,
		&stock.StockReserved{OrderId: had.root.String(), Quantity: 3, Stock: &stock.Stock{Sku: "LAMP", OnHand: 27, Reserved: 3}})
	had.book = []proto.Message{
		&order.OrderPlaced{Lines: []*order.Line{lamps}},
		&order.LineReserved{ProductId: lamps.ProductId, Quantity: 3, Reservation: uint32(len(lamp.book))},
		&order.OrderConfirmed{},
	}
	short.book = []proto.Message{
		&order.OrderPlaced{Lines: []*order.Line{chairs}},
		&order.OrderRejected{ProductId: chairs.ProductId, Reason: `stock of "CHAIR" is short: 4 available (4 on hand, 0 reserved), 5 asked for`},
	}
	return []step{
		{of: had, command: &order.PlaceOrder{Lines: []*order.Line{lamps}}, event: had.book[0]},
		{of: short, command: &order.PlaceOrder{Lines: []*order.Line{chairs}}, event: short.book[0]},
	}
}

// summaries say what the projector must have published in the end.
func summaries(lamp, chair, table *aggregate) {
	lamp.left = &summary.ProductSummary{Sku: "LAMP", OnHand: 27, Reserved: 3, Available: 24}
	chair.left = &summary.ProductSummary{Sku: "CHAIR", OnHand: 4, Available: 4}
	table.left = &summary.ProductSummary{Sku: "TABLE", OnHand: 8, Available: 8}
}

// emissions are the ids of the commands that the saga, and the rejection of one of
// them, must have led to, each with its domain.
func emissions(had, short, lamp *aggregate) map[string]string {
	reserve := func(o *aggregate) string { return demoSaga + "/" + orderDomain + "/" + o.root.String() + "/1/0" }
	return map[string]string{
		reserve(had): stockDomain,
		demoSaga + "/" + stockDomain + "/" + lamp.root.String() + "/4/0": orderDomain,
		reserve(short):               stockDomain,
		reserve(short) + "/rejected": orderDomain,
	}
}
