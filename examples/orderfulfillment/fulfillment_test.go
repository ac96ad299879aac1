package orderfulfillment

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/examples/serving/servingtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const (
	lamp  = "11111111-1111-4111-8111-111111111111"
	chair = "22222222-2222-4222-8222-222222222222"
	sale  = "99999999-9999-4999-8999-999999999999"
)

var both = []*order.Line{{ProductId: lamp, Quantity: 1}, {ProductId: chair, Quantity: 4}}

// scenario tells what happened to one aggregate, and what is to be done then:
// each command as its domain, its root, its type and its content.
type scenario struct {
	name  string
	of    string
	given []proto.Message
	then  []string
}

func TestReactions(t *testing.T) {
	for _, s := range []scenario{
		{
			name: "a placed order wants stock of each line", of: sale,
			given: []proto.Message{&order.OrderPlaced{Lines: both}},
			then: []string{
				`inventory ` + lamp + ` inventory.ReserveStock {"orderId":"` + sale + `","quantity":1}`,
				`inventory ` + chair + ` inventory.ReserveStock {"orderId":"` + sale + `","quantity":4}`,
			},
		},
		{
			name: "reserved stock is the order's news", of: chair,
			given: []proto.Message{&inventory.StockReserved{OrderId: sale, Quantity: 4, Stock: &inventory.Stock{Sku: "CHAIR", OnHand: 9, Reserved: 4}}},
			then:  []string{`order ` + sale + ` order.RecordReservation {"productId":"` + chair + `","quantity":4,"reservation":1}`},
		},
		{
			name: "a shipped order takes its stock along", of: sale,
			given: []proto.Message{&order.OrderShipped{Lines: both}},
			then: []string{
				`inventory ` + lamp + ` inventory.CommitReservation {"orderId":"` + sale + `"}`,
				`inventory ` + chair + ` inventory.CommitReservation {"orderId":"` + sale + `"}`,
			},
		},
		{
			name: "a cancelled order gives back what it had", of: sale,
			given: []proto.Message{&order.OrderCancelled{Reserved: both[1:]}},
			then:  []string{`inventory ` + chair + ` inventory.ReleaseReservation {"orderId":"` + sale + `"}`},
		},
		{
			name: "so does a rejected one", of: sale,
			given: []proto.Message{&order.OrderRejected{ProductId: chair, Reserved: both[:1]}},
			then:  []string{`inventory ` + lamp + ` inventory.ReleaseReservation {"orderId":"` + sale + `"}`},
		},
		{name: "an order that had nothing gives back nothing", of: sale, given: []proto.Message{&order.OrderRejected{ProductId: chair}}},
		{
			name: "pages in one book lead to what they lead to one by one", of: chair,
			given: []proto.Message{
				&inventory.StockReserved{OrderId: sale, Quantity: 4}, &inventory.StockAdjusted{Delta: 1},
				&inventory.StockReserved{OrderId: lamp, Quantity: 2},
			},
			then: []string{
				`order ` + sale + ` order.RecordReservation {"productId":"` + chair + `","quantity":4,"reservation":1}`,
				`order ` + lamp + ` order.RecordReservation {"productId":"` + chair + `","quantity":2,"reservation":3}`,
			},
		},
		{
			name: "what was reserved by hand is no order's", of: chair,
			given: []proto.Message{
				&inventory.StockReserved{OrderId: "o-1", Quantity: 4},
				&inventory.StockReserved{OrderId: strings.ToUpper("aaaaaaaa-9999-4999-8999-999999999999"), Quantity: 4},
			},
		},
		{
			name: "the rest leads to nothing", of: sale,
			given: []proto.Message{&order.LineReserved{ProductId: lamp}, &order.OrderConfirmed{}, &inventory.ReservationCommitted{}, &inventory.ReservationReleased{}, &inventory.ProductCreated{}},
		},
	} {
		t.Run(s.name, func(t *testing.T) {
			answer, err := Saga{}.HandleSync(t.Context(), book(t, s.of, s.given...))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := shown(t, answer.GetCommands()), strings.Join(s.then, "\n"); got != want {
				t.Errorf("led to\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestDomainsOfOtherNames(t *testing.T) {
	saga := Saga{Orders: "sales", Inventory: "stock"}
	for event, want := range map[proto.Message]string{
		&order.OrderShipped{Lines: both[:1]}:      "stock " + lamp,
		&inventory.StockReserved{OrderId: sale}:   "sales " + sale,
		&order.OrderCancelled{Reserved: both[1:]}: "stock " + chair,
		&order.OrderPlaced{Lines: both[1:]}:       "stock " + chair,
		&order.OrderRejected{Reserved: both[:1]}:  "stock " + lamp,
	} {
		answer, err := saga.HandleSync(t.Context(), book(t, sale, event))
		if err != nil {
			t.Fatal(err)
		}
		if got := shown(t, answer.GetCommands()); !strings.HasPrefix(got, want) {
			t.Errorf("%T led to %s, want one for %s", event, got, want)
		}
	}
}

func TestUnreadable(t *testing.T) {
	at := func(event *anypb.Any) *angzarr.EventBook {
		b := book(t, sale)
		b.Pages = []*angzarr.EventPage{{Sequence: &angzarr.EventPage_Num{Num: 7}, Event: event}}
		return b
	}
	for _, c := range []struct {
		name    string
		in      *angzarr.EventBook
		because string // nothing: it is no reason to refuse
	}{
		{"an event of a type that nobody knows", at(&anypb.Any{TypeUrl: "type.googleapis.com/nobody.Knows"}), ""},
		{"an event of broken bytes", at(&anypb.Any{TypeUrl: "type.googleapis.com/order.OrderPlaced", Value: []byte{0xff}}), "page 7: "},
		{"a page without an event", at(nil), "page 7: "},
		{"a line of no product", book(t, sale, &order.OrderPlaced{Lines: []*order.Line{{ProductId: "LAMP"}}}), "page 1: line 0: product_id: "},
		{"a book of nobody", &angzarr.EventBook{}, "cover.root: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer, err := Saga{}.HandleSync(t.Context(), c.in)
			if c.because == "" {
				if err != nil || len(answer.GetCommands()) > 0 {
					t.Errorf("answered %v, %v", answer, err)
				}
				return
			}
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), c.because) {
				t.Errorf("answered %v, want INVALID_ARGUMENT and %q", err, c.because)
			}
		})
	}
}

func TestOverTheWire(t *testing.T) {
	conn := servingtest.Dial(t, Register)
	saga := angzarr.NewSagaClient(conn)
	answer, err := saga.HandleSync(t.Context(), book(t, sale, &order.OrderPlaced{Lines: both}))
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetCommands()) != 2 {
		t.Errorf("led to %s", shown(t, answer.GetCommands()))
	}
	// The coordinator learns from this that it has to send what HandleSync says.
	if _, err := saga.Handle(t.Context(), book(t, sale)); status.Code(err) != codes.Unimplemented {
		t.Errorf("Handle answered %v", err)
	}
	servingtest.Described(t, conn, "angzarr.Saga", "order.RecordReservation", "inventory.ReserveStock")
}

// book is what a coordinator sends: pages of one root.
func book(t *testing.T, root string, given ...proto.Message) *angzarr.EventBook {
	t.Helper()
	id := uuid.MustParse(root)
	book := &angzarr.EventBook{Cover: &angzarr.Cover{Domain: "any", Root: &angzarr.UUID{Value: id[:]}}}
	for i, event := range given {
		packed, err := anypb.New(event)
		if err != nil {
			t.Fatal(err)
		}
		book.Pages = append(book.Pages, &angzarr.EventPage{Sequence: &angzarr.EventPage_Num{Num: uint32(i) + 1}, Event: packed})
	}
	return book
}

// shown is a command a line.
func shown(t *testing.T, books []*angzarr.CommandBook) string {
	t.Helper()
	var lines []string
	for _, b := range books {
		root, err := uuid.FromBytes(b.GetCover().GetRoot().GetValue())
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range b.GetPages() {
			command, err := page.GetCommand().UnmarshalNew()
			if err != nil {
				t.Fatal(err)
			}
			content, err := protojson.Marshal(command)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, fmt.Sprint(b.GetCover().GetDomain(), " ", root, " ", proto.MessageName(command), " ",
				strings.ReplaceAll(string(content), " ", "")))
		}
	}
	return strings.Join(lines, "\n")
}
