package main

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"

	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
)

// step is one command of the demo, and what it must lead to.
type step struct {
	product *product
	command proto.Message
	event   proto.Message // nil: it must be refused
	refused codes.Code
}

// product is an aggregate of the demo.
type product struct {
	sku  string
	root log.Root
	book []proto.Message // the events that it must have in the end, from page 1
}

// story is what the demo sends: calls first, then records, which meet the calls
// on the same products. The books of the products say what must come of it.
func story(lamp, chair, table *product) (calls, records []step) {
	calls = []step{
		{product: lamp, command: &stock.CreateProduct{Sku: "LAMP", Name: "Desk lamp", Quantity: 10},
			event: &stock.ProductCreated{Sku: "LAMP", Name: "Desk lamp", Quantity: 10}},
		{product: chair, command: &stock.CreateProduct{Sku: "CHAIR", Name: "Chair", Quantity: 4},
			event: &stock.ProductCreated{Sku: "CHAIR", Name: "Chair", Quantity: 4}},
		{product: lamp, command: &stock.AdjustStock{Delta: -3, Reason: "sold"},
			event: &stock.StockAdjusted{Delta: -3, Reason: "sold", Stock: &stock.Stock{Sku: "LAMP", OnHand: 7}}},
		{product: chair, command: &stock.AdjustStock{Delta: -5, Reason: "sold"},
			refused: codes.FailedPrecondition},
	}
	records = []step{
		{product: table, command: &stock.CreateProduct{Sku: "TABLE", Name: "Table", Quantity: 2},
			event: &stock.ProductCreated{Sku: "TABLE", Name: "Table", Quantity: 2}},
		{product: table, command: &stock.AdjustStock{Delta: 6, Reason: "delivery"},
			event: &stock.StockAdjusted{Delta: 6, Reason: "delivery", Stock: &stock.Stock{Sku: "TABLE", OnHand: 8}}},
		{product: lamp, command: &stock.AdjustStock{Delta: 20, Reason: "delivery"},
			event: &stock.StockAdjusted{Delta: 20, Reason: "delivery", Stock: &stock.Stock{Sku: "LAMP", OnHand: 27}}},
		{product: table, command: &stock.AdjustStock{Delta: -9, Reason: "sold"},
			refused: codes.FailedPrecondition},
	}
	for _, s := range append(calls[:len(calls):len(calls)], records...) {
		if s.event != nil {
			s.product.book = append(s.product.book, s.event)
		}
	}
	return calls, records
}
