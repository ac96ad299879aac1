package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	orderpb "github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/log"
)

const (
	shoppers = 4
	// products is how many there are. The first is never created: orders of it
	// are rejected.
	products = 10
	// stocked is how many pieces of a product there are at first, and about how
	// many come with a delivery: some orders find too few.
	stocked = 15
)

// shop is the load of the market: what people order, ship, cancel and deliver.
type shop struct {
	*load
	market   *market
	products []log.Root
}

func newShop(l *load) *shop {
	s := &shop{
		load:   &load{runner: l.runner, history: &history{}, begun: l.begun, writer: l.writer, stopped: l.stopped},
		market: l.market,
	}
	random := rand.New(rand.NewPCG(l.o.Seed, 3))
	for range products {
		s.products = append(s.products, newRoot(random))
	}
	return s
}

// run has shoppers give commands until the load is stopped, and returns when all
// have their last answer.
func (s *shop) run() {
	var all sync.WaitGroup
	for n := range shoppers {
		c := &shopper{shop: s, name: fmt.Sprint("s", n), random: rand.New(rand.NewPCG(s.o.Seed, uint64(10_000+n)))}
		all.Go(func() {
			for i := 1 + n; i < products; i += shoppers {
				c.give(s.market.inventory, s.products[i], &stock.CreateProduct{Sku: fmt.Sprint("P-", i), Name: "product", Quantity: stocked})
			}
			for !s.ended() {
				c.act()
				sleep(context.Background(), time.Duration(30+c.random.IntN(150))*time.Millisecond) //nolint:errcheck // it can't end early
			}
		})
	}
	all.Wait()
}

// shopper gives one command after another.
type shopper struct {
	*shop
	name   string
	random *rand.Rand
	given  int
	open   []log.Root // orders of which it wants more
}

// act does one thing of those that people do.
func (c *shopper) act() {
	switch at := c.random.IntN(20); {
	case at == 0:
		c.give(c.market.inventory, c.products[1+c.random.IntN(products-1)],
			&stock.AdjustStock{Delta: int32(stocked/2 + c.random.IntN(stocked)), Reason: "delivery"})
	case at < 9 || len(c.open) == 0:
		root := newRoot(c.random)
		c.open = append(c.open, root)
		c.give(c.market.orders, root, c.wish())
	case at < 16:
		c.give(c.market.orders, c.some(), &orderpb.ShipOrder{})
	default:
		c.give(c.market.orders, c.some(), &orderpb.CancelOrder{Reason: "changed my mind"})
	}
}

// wish is an order of some products, few of which are never to be had.
func (c *shopper) wish() *orderpb.PlaceOrder {
	place := &orderpb.PlaceOrder{}
	for _, i := range c.random.Perm(products)[:1+c.random.IntN(3)] {
		if i == 0 && c.random.IntN(3) > 0 {
			continue
		}
		place.Lines = append(place.Lines, &orderpb.Line{
			ProductId: uuid.UUID(c.products[i]).String(), Quantity: 1 + uint32(c.random.IntN(3)),
		})
	}
	if len(place.Lines) == 0 {
		place.Lines = []*orderpb.Line{{ProductId: uuid.UUID(c.products[1]).String(), Quantity: 1}}
	}
	return place
}

// some is one of the open orders; one in three is not asked for again.
func (c *shopper) some() log.Root {
	i := c.random.IntN(len(c.open))
	root := c.open[i]
	if c.random.IntN(3) == 0 {
		c.open[i] = c.open[len(c.open)-1]
		c.open = c.open[:len(c.open)-1]
	}
	return root
}

// give gives a command in one of the ways in which people do.
func (c *shopper) give(domain string, root log.Root, wish proto.Message) {
	c.given++
	t := try{ID: fmt.Sprintf("%s-%d", c.name, c.given), Domain: domain, Root: root, Wish: wish}
	switch way := c.random.IntN(100); {
	case way < 25:
		c.produce(t)
	case way < 32: // by topic and by call at the same time
		var call sync.WaitGroup
		door := c.door()
		call.Go(func() { c.order(t, door) })
		c.produce(t)
		call.Wait()
	default:
		c.insist(t)
		if way > 95 {
			c.order(t, c.door())
		}
	}
}

func (c *shopper) door() int { return c.random.IntN(len(c.fleet.slots)) }

// order gives a command to a front door.
func (c *shopper) order(t try, door int) result {
	c.ask(&t, 5*time.Second, door)
	c.history.add(t)
	return t.Result
}

// insist repeats a command that is in doubt, with its id and by another door.
func (c *shopper) insist(t try) {
	door := c.door()
	for n := range 8 {
		if result := c.order(t, (door+n)%len(c.fleet.slots)); result != doubtful && result != unapplied {
			return
		}
		sleep(context.Background(), 100*time.Millisecond) //nolint:errcheck // it can't end early
	}
}
