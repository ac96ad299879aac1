package orderfulfillment

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/examples/proto/order"
)

// seen counts what the runs have come across: proofs about what never happens
// would prove nothing.
type seen map[string]int

// In whatever order commands and events of different aggregates meet, each order
// has one outcome, and the stock adds up.
func TestEveryOrderHasOneOutcomeAndStockAddsUp(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("commands come again: %t", again), func(t *testing.T) {
			all := make(seen)
			for seed := range uint64(400) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { trade(open(t, seed, again), all) })
			}
			for _, what := range []string{"confirmed", "shipped", "cancelled", "rejected", "unasked"} {
				if all[what] == 0 {
					t.Errorf("nothing was %s in any run: %v", what, all)
				}
			}
			if !again && all["dead"] > 0 {
				t.Errorf("%d notifications were refused", all["dead"])
			}
		})
	}
}

// trade opens the market on a few products, of which one is never created, and
// lets clients order, ship and cancel as it comes.
func trade(m *market, all seen) {
	first := make(map[aggregate]uint32)
	var products, orders []aggregate
	for i := range 4 {
		a := aggregate{"inventory", uuid.UUID{0: 0x10, 15: byte(i)}}
		if products = append(products, a); i > 0 {
			first[a] = uint32(m.chance.IntN(12))
			m.ask(a, &stock.CreateProduct{Sku: fmt.Sprint("P", i), Quantity: first[a]})
		}
	}
	for m.turn() {
	}
	for i := range 8 {
		a := aggregate{"order", uuid.UUID{0: 0x20, 15: byte(i)}}
		orders = append(orders, a)
	}
	for asks := m.wishes(orders, products); len(asks) > 0; {
		if m.chance.IntN(3) > 0 {
			m.turn()
			continue
		}
		asks[0]()
		asks = asks[1:]
	}
	for m.turn() {
	}
	sold, held := make(map[uuid.UUID]uint32), make(map[uuid.UUID]uint32)
	for _, a := range orders {
		all[m.outcome(a, sold, held)]++
	}
	for _, a := range products {
		m.addsUp(a, first[a]-sold[a.root], held[a.root])
	}
	all["dead"] += m.dead
	all["unasked"] += m.unasked
}

// wishes are what clients ask for, some of it too early or too late.
func (m *market) wishes(orders, products []aggregate) (asks []func()) {
	var later []func()
	for _, a := range orders {
		place := &order.PlaceOrder{}
		for _, i := range m.chance.Perm(len(products))[:1+m.chance.IntN(3)] {
			if i > 0 || m.chance.IntN(4) == 0 {
				place.Lines = append(place.Lines, &order.Line{ProductId: products[i].root.String(), Quantity: 1 + uint32(m.chance.IntN(4))})
			}
		}
		if len(place.Lines) == 0 {
			place.Lines = []*order.Line{{ProductId: products[1].root.String(), Quantity: 1}}
		}
		asks = append(asks, func() { m.ask(a, place) })
		if m.chance.IntN(3) > 0 {
			later = append(later, func() { m.ask(a, &order.ShipOrder{}) })
		}
		if m.chance.IntN(3) == 0 {
			later = append(later, func() { m.ask(a, &order.CancelOrder{Reason: "changed my mind"}) })
		}
	}
	for _, ask := range later {
		asks = slices.Insert(asks, m.chance.IntN(len(asks)+1), ask)
	}
	return asks
}

// outcome says what became of an order, and adds its lines to what is sold or
// held for it.
func (m *market) outcome(a aggregate, sold, held map[uuid.UUID]uint32) (became string) {
	var lines []*order.Line
	ends := 0
	for _, event := range m.events(a) {
		switch e := event.(type) {
		case *order.OrderPlaced:
			became, lines = "placed", e.GetLines()
		case *order.OrderConfirmed:
			became = "confirmed"
		case *order.OrderShipped:
			became, ends = "shipped", ends+1
		case *order.OrderCancelled:
			became, ends = "cancelled", ends+1
		case *order.OrderRejected:
			became, ends = "rejected", ends+1
		}
	}
	if became == "" || became == "placed" || ends > 1 {
		m.Errorf("order %s is %q, with %d ends: %v", a.root, became, ends, m.events(a))
	}
	for _, l := range lines {
		switch product := uuid.MustParse(l.GetProductId()); became {
		case "shipped":
			sold[product] += l.GetQuantity()
		case "confirmed":
			held[product] += l.GetQuantity()
		}
	}
	return became
}

// addsUp holds a product against what orders have become.
func (m *market) addsUp(a aggregate, onHand, reserved uint32) {
	left := &stock.Stock{}
	for _, event := range m.events(a) {
		switch e := event.(type) {
		case *stock.ProductCreated:
			left = &stock.Stock{Sku: e.GetSku(), OnHand: e.GetQuantity()}
		case interface{ GetStock() *stock.Stock }:
			left = e.GetStock()
		}
		if left.GetReserved() > left.GetOnHand() {
			m.Errorf("product %s: {%v}", a.root, left)
		}
	}
	if want := (&stock.Stock{Sku: left.GetSku(), OnHand: onHand, Reserved: reserved}); !proto.Equal(left, want) {
		m.Errorf("product %s is left with {%v}, want {%v}: %v", a.root, left, want, m.events(a))
	}
}
