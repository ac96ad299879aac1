package inventorysummary

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	logic "github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventorysummary"
	"github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/examples/serving/servingtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func widgets(onHand, reserved uint32) *inventory.Stock {
	return &inventory.Stock{Sku: "WIDGET", OnHand: onHand, Reserved: reserved}
}

func TestSummaries(t *testing.T) {
	for _, s := range []struct {
		name  string
		given []proto.Message // from page 5
		then  *pb.ProductSummary
		at    uint32
	}{
		{"a product is created", []proto.Message{&inventory.ProductCreated{Sku: "WIDGET", Name: "Widget", Quantity: 10}},
			&pb.ProductSummary{Sku: "WIDGET", OnHand: 10, Available: 10}, 5},
		{"stock is adjusted", []proto.Message{&inventory.StockAdjusted{Delta: -3, Stock: widgets(7, 2)}},
			&pb.ProductSummary{Sku: "WIDGET", OnHand: 7, Reserved: 2, Available: 5}, 5},
		{"stock is reserved", []proto.Message{&inventory.StockReserved{OrderId: "o-1", Quantity: 7, Stock: widgets(7, 7)}},
			&pb.ProductSummary{Sku: "WIDGET", OnHand: 7, Reserved: 7}, 5},
		{"a reservation leaves", []proto.Message{&inventory.ReservationCommitted{OrderId: "o-1", Quantity: 7, Stock: widgets(3, 1)}},
			&pb.ProductSummary{Sku: "WIDGET", OnHand: 3, Reserved: 1, Available: 2}, 5},
		{"a reservation is given back", []proto.Message{&inventory.ReservationReleased{OrderId: "o-1", Quantity: 7, Stock: widgets(10, 1)}},
			&pb.ProductSummary{Sku: "WIDGET", OnHand: 10, Reserved: 1, Available: 9}, 5},
		{"of a run of pages the last counts", []proto.Message{&inventory.StockAdjusted{Stock: widgets(1, 1)}, &inventory.StockAdjusted{Stock: widgets(2, 1)}, &inventory.StockAdjusted{Stock: widgets(3, 1)}},
			&pb.ProductSummary{Sku: "WIDGET", OnHand: 3, Reserved: 1, Available: 2}, 7},
		{"what is no business of it doesn't count", []proto.Message{&inventory.StockAdjusted{Stock: widgets(1, 1)}, &order.OrderConfirmed{}},
			&pb.ProductSummary{Sku: "WIDGET", OnHand: 1, Reserved: 1}, 5},
		{"nothing is published of other domains", []proto.Message{&order.OrderPlaced{}, &order.OrderConfirmed{}}, nil, 0},
	} {
		t.Run(s.name, func(t *testing.T) {
			given := book(t, 5, s.given...)
			projection, err := Projector{}.HandleSync(t.Context(), given)
			if err != nil {
				t.Fatal(err)
			}
			want := &angzarr.Projection{}
			if s.then != nil {
				want = &angzarr.Projection{Cover: given.GetCover(), Projector: "inventory-summary", Sequence: s.at, Projection: pack(t, s.then)}
			}
			if !proto.Equal(projection, want) {
				t.Errorf("answered {%v}, want {%v}", projection, want)
			}
		})
	}
}

// However history is cut into calls, and whichever part of it is told again, the
// last page that came says what there is.
func TestAPageSaysTheSameWheneverItComes(t *testing.T) {
	history := &angzarr.EventBook{Cover: cover()}
	for _, command := range []proto.Message{
		&inventory.CreateProduct{Sku: "WIDGET", Quantity: 10}, &inventory.ReserveStock{OrderId: "o-1", Quantity: 4},
		&inventory.AdjustStock{Delta: -5}, &inventory.ReserveStock{OrderId: "o-2", Quantity: 1},
		&inventory.CommitReservation{OrderId: "o-1"}, &inventory.ReleaseReservation{OrderId: "o-2"},
	} {
		answer, err := logic.Logic{}.Handle(t.Context(), &angzarr.ContextualCommand{Events: history,
			Command: &angzarr.CommandBook{Cover: cover(), Pages: []*angzarr.CommandPage{{Command: pack(t, command)}}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range answer.GetPages() {
			page.Sequence = &angzarr.EventPage_Num{Num: uint32(len(history.GetPages())) + 1}
			history.Pages = append(history.Pages, page)
		}
	}
	available := []uint32{10, 6, 1, 0, 0, 1}
	for to := 1; to <= len(history.GetPages()); to++ {
		for from := range to {
			projection, err := Projector{}.HandleSync(t.Context(), &angzarr.EventBook{Cover: cover(), Pages: history.GetPages()[from:to]})
			if err != nil {
				t.Fatal(err)
			}
			summary := &pb.ProductSummary{}
			if err := projection.GetProjection().UnmarshalTo(summary); err != nil {
				t.Fatal(err)
			}
			if summary.GetAvailable() != available[to-1] || projection.GetSequence() != uint32(to) {
				t.Errorf("pages %d to %d: {%v}, want %d available at page %d", from+1, to, projection, available[to-1], to)
			}
		}
	}
}

func TestWhatCanNotBeTrueIsNotPublished(t *testing.T) {
	broken := book(t, 5)
	broken.Pages = []*angzarr.EventPage{{
		Sequence: &angzarr.EventPage_Num{Num: 5},
		Event:    &anypb.Any{TypeUrl: "type.googleapis.com/inventory.StockAdjusted", Value: []byte{0xff}},
	}}
	for _, c := range []struct {
		name    string
		in      *angzarr.EventBook
		because string
	}{
		{"broken bytes", broken, "page 5: "},
		{"an event that doesn't say what it left", book(t, 5, &inventory.StockAdjusted{Delta: 1}), "page 5: \"type.googleapis.com/inventory.StockAdjusted\": stock.sku: "},
		{"more reserved than there is", book(t, 5, &inventory.StockReserved{Stock: widgets(1, 2)}), "stock: 2 reserved of 1 on hand"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Projector{}.HandleSync(t.Context(), c.in)
			if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), c.because) {
				t.Errorf("answered %v, want INVALID_ARGUMENT and %q", err, c.because)
			}
		})
	}
	unknown := book(t, 5)
	unknown.Pages = []*angzarr.EventPage{{Event: &anypb.Any{TypeUrl: "type.googleapis.com/nobody.Knows"}}}
	if projection, err := (Projector{}).HandleSync(t.Context(), unknown); err != nil || !proto.Equal(projection, &angzarr.Projection{}) {
		t.Errorf("an event of a type that nobody knows led to {%v}, %v", projection, err)
	}
}

func TestOverTheWire(t *testing.T) {
	conn := servingtest.Dial(t, Register)
	projector := angzarr.NewProjectorClient(conn)
	projection, err := projector.HandleSync(t.Context(), book(t, 1, &inventory.ProductCreated{Sku: "WIDGET", Quantity: 3}))
	if err != nil {
		t.Fatal(err)
	}
	if projection.GetSequence() != 1 {
		t.Errorf("answered {%v}", projection)
	}
	// The coordinator learns from this that what HandleSync says is all there is.
	if _, err := projector.Handle(t.Context(), book(t, 1)); status.Code(err) != codes.Unimplemented {
		t.Errorf("Handle answered %v", err)
	}
	servingtest.Described(t, conn, "angzarr.Projector", "inventorysummary.ProductSummary", "inventory.StockReserved")
}

// book is what a coordinator sends: pages of one root, in a row.
func book(t *testing.T, first uint32, given ...proto.Message) *angzarr.EventBook {
	t.Helper()
	book := &angzarr.EventBook{Cover: cover()}
	for i, event := range given {
		book.Pages = append(book.Pages, &angzarr.EventPage{
			Sequence: &angzarr.EventPage_Num{Num: first + uint32(i)}, Event: pack(t, event),
		})
	}
	return book
}

func cover() *angzarr.Cover {
	return &angzarr.Cover{Domain: "inventory", Root: &angzarr.UUID{Value: []byte("0123456789abcdef")}}
}

func pack(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}
