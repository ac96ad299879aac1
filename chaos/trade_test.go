package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	orderpb "github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// fair is a market whose log is made here by the examples themselves, and which a
// test then makes wrong.
type fair struct {
	*market
	t      *testing.T
	logic  both
	books  map[string]*books
	trade  trade
	tries  []try
	clock  int64
	offset map[string]int64 // of the next record of a topic
}

var (
	lamp, chair = log.Root{1, 1}, log.Root{1, 2}
	// What becomes of them.
	bought, kept, regretted, short = log.Root{2, 1}, log.Root{2, 2}, log.Root{2, 3}, log.Root{2, 4}
)

func opened(t *testing.T) *fair {
	t.Helper()
	f := &fair{market: newMarket("x"), t: t, books: make(map[string]*books), offset: make(map[string]int64)}
	f.logic = both{orders: f.market.orders}
	for _, domain := range f.domains() {
		f.books[domain] = &books{}
	}
	f.trade.partitions = 4
	f.ask(f.inventory, lamp, &stock.CreateProduct{Sku: "LAMP", Quantity: 10})
	f.ask(f.inventory, chair, &stock.CreateProduct{Sku: "CHAIR", Quantity: 3})
	f.place(bought, lamp, chair)
	f.place(kept, lamp)
	f.place(regretted, lamp, chair)
	f.ask(f.inventory, chair, &stock.AdjustStock{Delta: -1, Reason: "broken"})
	f.place(short, lamp, chair)
	f.ask(f.market.orders, bought, &orderpb.ShipOrder{})
	f.ask(f.market.orders, regretted, &orderpb.CancelOrder{})
	for domain, b := range f.books {
		f.trade.books = mapWith(f.trade.books, domain, *b)
	}
	return f
}

func mapWith(m map[string]books, key string, b books) map[string]books {
	if m == nil {
		m = make(map[string]books)
	}
	m[key] = b
	return m
}

// place orders one piece of each product.
func (f *fair) place(root log.Root, products ...log.Root) {
	o := &orderpb.PlaceOrder{}
	for _, p := range products {
		o.Lines = append(o.Lines, &orderpb.Line{ProductId: p.String(), Quantity: 1})
	}
	f.ask(f.market.orders, root, o)
}

// ask is a caller's command, which is acknowledged.
func (f *fair) ask(domain string, root log.Root, wish proto.Message) {
	f.t.Helper()
	f.clock += 10
	t := try{ID: fmt.Sprint("c", f.clock), Domain: domain, Root: root, Wish: wish, Way: "door 0", Call: f.clock, Return: f.clock + 5}
	o := f.decide(bookOf(domain, &t))
	if o.Code != codes.OK {
		f.t.Fatalf("%s: %s", said(wish), o.Said)
	}
	t.Result = acked
	for _, p := range f.books[domain].pages {
		if p.ID == t.ID {
			t.Pages = append(t.Pages, p.page)
		}
	}
	f.tries = append(f.tries, t)
}

// decide takes a command in, and all that it leads to.
func (f *fair) decide(c *pb.CommandBook) outcome {
	f.t.Helper()
	domain, root := c.Cover.Domain, log.Root(c.Cover.Root.Value)
	b := f.books[domain]
	history := &pb.EventBook{Cover: c.Cover}
	for _, p := range b.pages {
		if p.Root == root {
			history.Pages = append(history.Pages, &pb.EventPage{Sequence: &pb.EventPage_Num{Num: p.Number}, Event: p.Packed})
		}
	}
	answer, err := f.logic.Handle(f.t.Context(), &pb.ContextualCommand{Events: history, Command: c})
	st := status.Convert(err)
	o := outcome{ID: c.CommandId, Code: st.Code(), Said: st.Message()}
	first := len(b.pages)
	for i, p := range answer.GetPages() {
		n := uint32(len(history.Pages) + 1 + i)
		at := partitioning.Of(root, f.trade.partitions)
		b.pages = append(b.pages, stored{page{n, textOf(p.Event)}, root, c.CommandId, at, f.next(domain), p.Event})
	}
	for _, p := range slices.Clone(b.pages[first:]) {
		f.react(domain, p)
	}
	return o
}

func (f *fair) next(topic string) int64 {
	f.offset[topic]++
	return f.offset[topic] - 1
}

// send has a command stand in its topic, and decided.
func (f *fair) send(c *pb.CommandBook) {
	domain := c.Cover.Domain
	topic := log.CommandsTopic(domain)
	at := log.Source{Topic: topic, Partition: partitioning.Of(log.Root(c.Cover.Root.Value), f.trade.partitions), Offset: f.next(topic)}
	b := f.books[domain]
	b.commands = append(b.commands, sent{c, at, time.Time{}})
	o := f.decide(c)
	b.outcomes = append(b.outcomes, o)
	if origin := c.SagaOrigin; origin != nil && o.Code != codes.OK {
		f.send(&pb.CommandBook{
			Cover: origin.Cause, CommandId: c.CommandId + "/rejected",
			Pages: []*pb.CommandPage{{Command: pack(&pb.RejectionNotification{Command: c, Code: int32(o.Code), Message: o.Said, Saga: f.saga})}},
		})
	}
}

// react has the saga and the projector see a page.
func (f *fair) react(domain string, p stored) {
	f.t.Helper()
	if domain == f.inventory {
		made, err := inventorysummary.Projector{}.HandleSync(f.t.Context(), p.book(domain))
		if err != nil {
			f.t.Fatal(err)
		}
		made.Projector = f.summary
		f.trade.projections = append(f.trade.projections, projected{p.Root, made})
	}
	answer, err := f.fulfillment().HandleSync(f.t.Context(), p.book(domain))
	if err != nil {
		f.t.Fatal(err)
	}
	for i, c := range answer.Commands {
		c.CommandId = fmt.Sprintf("%s/%s/%s/%d/%d", f.saga, domain, p.Root, p.Number, i)
		c.SagaOrigin = &pb.SagaOrigin{Saga: f.saga, Cause: coverOf(domain, p.Root), Sequence: p.Number, Index: uint32(i), Hops: 1}
		f.send(c)
	}
}

func TestAFairMarketPasses(t *testing.T) {
	f := opened(t)
	for _, found := range checkTrade(f.market, f.trade, f.tries) {
		t.Error(found)
	}
	want := map[log.Root]standing{bought: shipped, kept: confirmed, regretted: cancelled, short: rejected}
	for root, o := range newTrader(f.market, f.trade, nil).lives() {
		if o.state != want[root] {
			t.Errorf("order %s is %s, want %s", root, o.state, want[root])
		}
	}
	if found := f.trade.untried(f.market); len(found) > 0 {
		t.Errorf("untried: %v", found)
	}
	f.domain(f.market.orders, func(b *books) { b.pages = b.pages[:1] })
	if found := f.trade.untried(f.market); len(found) != 4 {
		t.Errorf("untried: %v", found)
	}
	f = opened(t)
	if got, want := f.trade.text(f.market), "orders: 1 cancelled, 1 confirmed, 1 rejected, 1 shipped;"; !strings.HasPrefix(got, want) {
		t.Errorf("it says %q", got)
	}
}

// domain changes what the log says of one.
func (f *fair) domain(name string, change func(*books)) {
	b := f.trade.books[name]
	b.pages, b.commands, b.outcomes = slices.Clone(b.pages), slices.Clone(b.commands), slices.Clone(b.outcomes)
	change(&b)
	f.trade.books[name] = b
}

// command is the place of the first command whose id or type is like that.
func (b *books) command(like string) int {
	return slices.IndexFunc(b.commands, func(c sent) bool {
		return strings.Contains(c.id(), like) || strings.HasSuffix(c.Book.Pages[0].Command.TypeUrl, like)
	})
}

// page is the place of the last page of a root.
func (b *books) page(root log.Root) int {
	for i := len(b.pages) - 1; i >= 0; i-- {
		if b.pages[i].Root == root {
			return i
		}
	}
	return -1
}

// add puts an event behind a root's last page.
func (b *books) add(root log.Root, event proto.Message) {
	p := b.pages[b.page(root)]
	p.Number++
	p.Offset += 1000
	p.Packed, p.ID = pack(event), "stranger"
	p.Event = textOf(p.Packed)
	b.pages = append(b.pages, p)
}

func TestWrongTradeIsFound(t *testing.T) {
	broken := make(map[string]bool)
	for _, tc := range []struct {
		name, proof, want string
		harm              func(*fair)
	}{
		{"a page is lost", "numbering", "follows upon page 1", func(f *fair) {
			f.domain(f.market.orders, func(b *books) { b.pages = slices.Delete(b.pages, 1, 2) })
		}},
		{"an acknowledged command is lost", "acknowledged", "the log has no pages", func(f *fair) {
			f.domain(f.market.orders, func(b *books) { i := b.page(regretted); b.pages = slices.Delete(b.pages, i, i+1) })
		}},
		{"a refused command is there", "refused", "was refused to all", func(f *fair) { f.tries[len(f.tries)-1].Result = refused }},
		{"an answer that nobody may get", "answers", "was answered", func(f *fair) { f.tries[0].Result = wrong }},
		{"a record has no outcome", "one outcome", "has 0 outcomes", func(f *fair) {
			f.domain(f.inventory, func(b *books) { b.outcomes = b.outcomes[1:] })
		}},
		{"an order has two outcomes", "orders", "it is shipped", func(f *fair) {
			f.domain(f.market.orders, func(b *books) { b.add(bought, &orderpb.OrderRejected{}) })
		}},
		{"an order has none", "orders", "has no outcome: 0 of its 1 lines are reserved", func(f *fair) {
			f.domain(f.market.orders, func(b *books) {
				b.pages = slices.DeleteFunc(b.pages, func(p stored) bool { return p.Root == kept && p.Number > 1 })
			})
		}},
		{"an order forgets what is reserved", "orders", "and that is true", func(f *fair) {
			f.domain(f.market.orders, func(b *books) { b.pages[b.page(regretted)].Packed = pack(&orderpb.OrderCancelled{}) })
		}},
		{"the stock does not add up", "stock", "the events make", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				b.add(lamp, &stock.StockAdjusted{Delta: 1, Stock: &stock.Stock{Sku: "LAMP", OnHand: 99, Reserved: 1}})
			})
		}},
		{"more is reserved than there is", "stock", "are reserved of", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				b.add(lamp, &stock.StockAdjusted{Delta: -9, Stock: &stock.Stock{Sku: "LAMP", Reserved: 1}})
			})
		}},
		{"a reservation is committed twice", "stock", "the order's reservation was 1 committed", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				b.add(lamp, &stock.ReservationCommitted{OrderId: bought.String(), Quantity: 1})
			})
		}},
		{"a reservation is never released", "reservations", "is cancelled and has 1 of product", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				b.pages = slices.DeleteFunc(b.pages, func(p stored) bool {
					return p.Packed.MessageIs(&stock.ReservationReleased{}) && strings.Contains(p.Event, regretted.String())
				})
			})
		}},
		{"reserved for nobody", "reservations", "which has no line of it", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				b.add(lamp, &stock.StockReserved{OrderId: log.Root{9}.String(), Quantity: 1})
			})
		}},
		{"a command of the saga is doubled", "sagas", "is in its topic 2 times", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				c := b.commands[0]
				c.At.Offset += 1000
				b.commands = append(b.commands, c)
			})
		}},
		{"a command of the saga is lost", "sagas", "is not in its topic", func(f *fair) {
			f.domain(f.inventory, func(b *books) { b.commands = b.commands[1:] })
		}},
		{"a command that no event led to", "sagas", "no event led to it", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				c := b.commands[0]
				c.Book = proto.CloneOf(c.Book)
				c.Book.CommandId += "0"
				b.commands = append(b.commands, c)
			})
		}},
		{"a command says something else", "sagas", "is not what its event leads to", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				b.commands[0].Book = proto.CloneOf(b.commands[0].Book)
				b.commands[0].Book.Pages[0].Command = pack(&stock.ReserveStock{OrderId: "x", Quantity: 99})
			})
		}},
		{"a command lies elsewhere", "sagas", "not in partition", func(f *fair) {
			f.domain(f.inventory, func(b *books) { b.commands[0].At.Partition = 9 })
		}},
		{"a rejection is not told", "rejections", "was not told", func(f *fair) {
			f.domain(f.market.orders, func(b *books) { i := b.command("/rejected"); b.commands = slices.Delete(b.commands, i, i+1) })
		}},
		{"a rejection is told twice", "rejections", "was told 2 times", func(f *fair) {
			f.domain(f.market.orders, func(b *books) { b.commands = append(b.commands, b.commands[b.command("/rejected")]) })
		}},
		{"told although it was accepted", "rejections", "was accepted, and", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				for i := range b.outcomes {
					b.outcomes[i].Code = codes.OK
				}
			})
		}},
		{"somebody else is told", "rejections", "and not to", func(f *fair) {
			f.domain(f.market.orders, func(b *books) {
				c := &b.commands[b.command("/rejected")]
				c.Book = proto.CloneOf(c.Book)
				c.Book.Cover.Root.Value = bought[:]
			})
		}},
		{"told of what nobody sent", "rejections", "which nobody sent", func(f *fair) {
			f.domain(f.inventory, func(b *books) {
				b.commands = slices.DeleteFunc(b.commands, func(c sent) bool { return f.outcomeOf(c.id()).Code != codes.OK })
			})
		}},
		{"a dead letter", "letters", "became a dead letter", func(f *fair) {
			f.domain(f.market.orders, func(b *books) { b.dead = []string{"t/0/1 (Internal: it broke)"} })
		}},
		{"a refused notification that is no dead letter", "letters", "was refused, and is no dead letter", func(f *fair) {
			f.domain(f.market.orders, func(b *books) {
				for i, o := range b.outcomes {
					if strings.HasSuffix(o.ID, "/rejected") {
						b.outcomes[i].Code = codes.FailedPrecondition
					}
				}
			})
		}},
		{"a projection is missing", "projections", "the last projection is of page", func(f *fair) {
			f.trade.projections = f.trade.projections[:len(f.trade.projections)-1]
		}},
		{"a projection is of the past", "projections", "comes after that of page", func(f *fair) {
			f.trade.projections = append(f.trade.projections, f.trade.projections[0])
		}},
		{"a projection is wrong", "projections", "and must be", func(f *fair) {
			p := &f.trade.projections[len(f.trade.projections)-1]
			p.projection = proto.CloneOf(p.projection)
			p.projection.Projection = text("x")
		}},
		{"a projection of nothing", "projections", "and 0 pages", func(f *fair) {
			f.trade.projections = append(f.trade.projections, projected{log.Root{9}, &pb.Projection{Sequence: 1}})
		}},
	} {
		broken[tc.proof] = true
		t.Run(tc.name, func(t *testing.T) {
			f := opened(t)
			tc.harm(f)
			found := checkTrade(f.market, f.trade, f.tries)
			if !slices.ContainsFunc(found, func(f finding) bool { return f.Proof == tc.proof && strings.Contains(f.Text, tc.want) }) {
				t.Errorf("%s was to find %q; found were\n%s", tc.proof, tc.want, findingsText(found))
			}
			tries, e := slices.Concat(f.tries, f.trade.tries(time.Time{})), evidence{}.with(f.trade)
			for _, f := range found {
				if f.Root != (log.Root{}) && f.Root[0] < 9 && len(timeline(f, tries, e)) == 0 {
					t.Errorf("%s: no timeline", f)
				}
			}
		})
	}
	for _, p := range tradeProofs {
		if !broken[p.name] {
			t.Errorf("%s: no wrong trade breaks it, so it proves nothing", p.name)
		}
	}
	for _, p := range common {
		if !broken[p.name] {
			t.Errorf("%s: no wrong trade breaks it, so it proves nothing", p.name)
		}
	}
}

// outcomeOf is that of a command, as the log had it at first.
func (f *fair) outcomeOf(id string) outcome {
	for _, b := range f.books {
		for _, o := range b.outcomes {
			if o.ID == id {
				return o
			}
		}
	}
	return outcome{}
}

// What is only on its way is waited for; what waiting can't cure is not.
func TestWhatIsWaitedFor(t *testing.T) {
	f := opened(t)
	// The last that happened is that the chair is given back.
	f.domain(f.inventory, func(b *books) {
		b.commands = b.commands[:len(b.commands)-1]
		b.outcomes = b.outcomes[:len(b.outcomes)-1]
		b.pages = b.pages[:len(b.pages)-1]
	})
	f.trade.projections = f.trade.projections[:len(f.trade.projections)-1]
	found := checkTrade(f.market, f.trade, f.tries)
	if len(found) != 2 || !found[0].Waits || !found[1].Waits {
		t.Errorf("found\n%s", findingsText(found))
	}
	f = opened(t)
	f.domain(f.inventory, func(b *books) { b.commands = append(b.commands, b.commands[0]) })
	if found := checkTrade(f.market, f.trade, f.tries); !slices.ContainsFunc(found, func(f finding) bool { return !f.Waits }) {
		t.Errorf("found\n%s", findingsText(found))
	}
}
