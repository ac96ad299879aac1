package inventory

import (
	"context"
	"math"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// tenWidgets is where most stories begin.
var tenWidgets = &pb.ProductCreated{Sku: "WIDGET", Name: "Widget", Quantity: 10}

// widgets is what an event has left of them.
func widgets(onHand, reserved uint32) *pb.Stock {
	return &pb.Stock{Sku: "WIDGET", OnHand: onHand, Reserved: reserved}
}

func TestDecisions(t *testing.T) {
	for _, s := range []scenario{
		{
			name: "a product is created",
			when: commands{&pb.CreateProduct{Sku: "WIDGET", Name: "Widget", Quantity: 10}},
			then: events{&pb.ProductCreated{Sku: "WIDGET", Name: "Widget", Quantity: 10}},
		},
		{
			name: "a sku is enough for a product",
			when: commands{&pb.CreateProduct{Sku: "WIDGET"}},
			then: events{&pb.ProductCreated{Sku: "WIDGET"}},
		},
		{
			name:  "stock goes up",
			given: events{tenWidgets},
			when:  commands{&pb.AdjustStock{Delta: 5, Reason: "delivery"}},
			then:  events{&pb.StockAdjusted{Delta: 5, Reason: "delivery", Stock: widgets(15, 0)}},
		},
		{
			name:  "stock goes down to nothing",
			given: events{tenWidgets, &pb.StockAdjusted{Delta: -4}},
			when:  commands{&pb.AdjustStock{Delta: -6}},
			then:  events{&pb.StockAdjusted{Delta: -6, Stock: widgets(0, 0)}},
		},
		{
			name:  "an order reserves all that is left by another",
			given: events{tenWidgets, &pb.StockReserved{OrderId: "o-1", Quantity: 7}},
			when:  commands{&pb.ReserveStock{OrderId: "o-2", Quantity: 3}},
			then:  events{&pb.StockReserved{OrderId: "o-2", Quantity: 3, Stock: widgets(10, 10)}},
		},
		{
			name:  "an order gives back all that it had",
			given: events{tenWidgets, &pb.StockReserved{OrderId: "o-1", Quantity: 7}},
			when:  commands{&pb.ReleaseReservation{OrderId: "o-1"}},
			then:  events{&pb.ReservationReleased{OrderId: "o-1", Quantity: 7, Stock: widgets(10, 0)}},
		},
		{
			name: "what an order has reserved leaves the stock",
			given: events{tenWidgets, &pb.StockReserved{OrderId: "o-1", Quantity: 7},
				&pb.StockReserved{OrderId: "o-2", Quantity: 2}},
			when: commands{&pb.CommitReservation{OrderId: "o-1"}},
			then: events{&pb.ReservationCommitted{OrderId: "o-1", Quantity: 7, Stock: widgets(3, 2)}},
		},
		{
			name: "what has left the stock is not there for others",
			given: events{tenWidgets, &pb.StockReserved{OrderId: "o-1", Quantity: 7},
				&pb.ReservationCommitted{OrderId: "o-1", Quantity: 7}},
			when: commands{&pb.ReserveStock{OrderId: "o-2", Quantity: 3}},
			then: events{&pb.StockReserved{OrderId: "o-2", Quantity: 3, Stock: widgets(3, 3)}},
		},
		{
			name:  "the same reservation again changes nothing",
			given: events{tenWidgets, &pb.StockReserved{OrderId: "o-1", Quantity: 7}},
			when:  commands{&pb.ReserveStock{OrderId: "o-1", Quantity: 7}},
		},
		{
			name:  "giving back nothing changes nothing",
			given: events{tenWidgets, &pb.StockReserved{OrderId: "o-2", Quantity: 7}},
			when:  commands{&pb.ReleaseReservation{OrderId: "o-1"}},
		},
		{
			name: "what was given back can be reserved again",
			given: events{tenWidgets, &pb.StockReserved{OrderId: "o-1", Quantity: 7},
				&pb.ReservationReleased{OrderId: "o-1", Quantity: 7}},
			when: commands{&pb.ReserveStock{OrderId: "o-1", Quantity: 10}},
			then: events{&pb.StockReserved{OrderId: "o-1", Quantity: 10, Stock: widgets(10, 10)}},
		},
		{
			name: "a unit's later commands see what its earlier ones led to",
			when: commands{&pb.CreateProduct{Sku: "WIDGET"}, &pb.AdjustStock{Delta: 2}, &pb.ReserveStock{OrderId: "o-1", Quantity: 2}},
			then: events{&pb.ProductCreated{Sku: "WIDGET"}, &pb.StockAdjusted{Delta: 2, Stock: widgets(2, 0)},
				&pb.StockReserved{OrderId: "o-1", Quantity: 2, Stock: widgets(2, 2)}},
		},
		{
			name: "a snapshot stands for the pages before it",
			snapshot: &pb.Product{Sku: "WIDGET", OnHand: 10,
				Reservations: map[string]uint32{"o-1": 4}},
			given: events{&pb.StockAdjusted{Delta: 1}},
			when:  commands{&pb.ReleaseReservation{OrderId: "o-1"}, &pb.AdjustStock{Delta: -11}},
			then: events{&pb.ReservationReleased{OrderId: "o-1", Quantity: 4, Stock: widgets(11, 0)},
				&pb.StockAdjusted{Delta: -11, Stock: widgets(0, 0)}},
		},
	} {
		t.Run(s.name, s.run)
	}
}

func TestRefusals(t *testing.T) {
	for _, s := range []scenario{
		{
			name: "a product is not created twice", given: events{tenWidgets},
			when:    commands{&pb.CreateProduct{Sku: "WIDGET"}},
			refused: codes.AlreadyExists, because: `product "WIDGET" is there already`,
		},
		{
			name: "stock does not fall below nothing", given: events{tenWidgets},
			when:    commands{&pb.AdjustStock{Delta: -11}},
			refused: codes.FailedPrecondition, because: `"WIDGET" is short: 10 available (10 on hand, 0 reserved), 11 asked for`,
		},
		{
			name: "what is reserved is not taken away", given: events{tenWidgets, &pb.StockReserved{OrderId: "o-1", Quantity: 7}},
			when:    commands{&pb.AdjustStock{Delta: -4}},
			refused: codes.FailedPrecondition, because: "3 available (10 on hand, 7 reserved), 4 asked for",
		},
		{
			name: "the widest adjustment is short too", given: events{tenWidgets},
			when:    commands{&pb.AdjustStock{Delta: math.MinInt32}},
			refused: codes.FailedPrecondition, because: "2147483648 asked for",
		},
		{
			name: "no more is reserved than there is", given: events{tenWidgets, &pb.StockReserved{OrderId: "o-1", Quantity: 7}},
			when:    commands{&pb.ReserveStock{OrderId: "o-2", Quantity: 4}},
			refused: codes.FailedPrecondition, because: "3 available (10 on hand, 7 reserved), 4 asked for",
		},
		{
			name: "an order reserves once", given: events{tenWidgets, &pb.StockReserved{OrderId: "o-1", Quantity: 7}},
			when:    commands{&pb.ReserveStock{OrderId: "o-1", Quantity: 1}},
			refused: codes.AlreadyExists, because: `order "o-1" has reserved 7 of "WIDGET" already`,
		},
		{
			name: "only what is reserved leaves for an order", given: events{tenWidgets},
			when:    commands{&pb.CommitReservation{OrderId: "o-1"}},
			refused: codes.FailedPrecondition, because: `order "o-1" has reserved nothing of "WIDGET"`,
		},
		{
			name: "one refused command refuses its unit", given: events{tenWidgets},
			when:    commands{&pb.AdjustStock{Delta: 1}, &pb.AdjustStock{Delta: -12}},
			refused: codes.FailedPrecondition, because: "11 available",
		},
		{
			name: "stock has an upper end", given: events{&pb.ProductCreated{Sku: "GRAIN", Quantity: math.MaxUint32}},
			when:    commands{&pb.AdjustStock{Delta: 1}},
			refused: codes.OutOfRange, because: "at most 4294967295",
		},
		{name: "adjust what never was", when: commands{&pb.AdjustStock{Delta: 1}}, refused: codes.NotFound, because: "no such product"},
		{name: "reserve what never was", when: commands{&pb.ReserveStock{OrderId: "o-1", Quantity: 1}}, refused: codes.NotFound, because: "no such product"},
		{name: "commit what never was", when: commands{&pb.CommitReservation{OrderId: "o-1"}}, refused: codes.NotFound, because: "no such product"},
		{name: "release what never was", when: commands{&pb.ReleaseReservation{OrderId: "o-1"}}, refused: codes.NotFound, because: "no such product"},
		{name: "create without sku", when: commands{&pb.CreateProduct{Name: "Widget"}}, refused: codes.InvalidArgument, because: "sku: "},
		{name: "adjust by nothing", when: commands{&pb.AdjustStock{}}, refused: codes.InvalidArgument, because: "delta: "},
		{name: "reserve for nobody", when: commands{&pb.ReserveStock{Quantity: 1}}, refused: codes.InvalidArgument, because: "order_id: "},
		{name: "reserve nothing", when: commands{&pb.ReserveStock{OrderId: "o-1"}}, refused: codes.InvalidArgument, because: "quantity: "},
		{name: "commit for nobody", when: commands{&pb.CommitReservation{}}, refused: codes.InvalidArgument, because: "order_id: "},
		{name: "release for nobody", when: commands{&pb.ReleaseReservation{}}, refused: codes.InvalidArgument, because: "order_id: "},
		{name: "an event is no command", when: commands{tenWidgets}, refused: codes.InvalidArgument, because: "unknown type inventory.ProductCreated"},
		{
			name: "history with a foreign page is not decided on", given: events{tenWidgets, &pb.AdjustStock{Delta: 1}},
			when:    commands{&pb.AdjustStock{Delta: 1}},
			refused: codes.Internal, because: "page 2: not an event of the inventory: inventory.AdjustStock",
		},
	} {
		t.Run(s.name, s.run)
	}
}

func TestUnreadable(t *testing.T) {
	nobody := &anypb.Any{TypeUrl: "type.googleapis.com/nobody.Knows"}
	broken := &anypb.Any{TypeUrl: "type.googleapis.com/inventory.CreateProduct", Value: []byte{0xff}}
	ask := func(command *anypb.Any) *angzarr.ContextualCommand {
		return &angzarr.ContextualCommand{Command: &angzarr.CommandBook{Pages: []*angzarr.CommandPage{{Command: command}}}}
	}
	for name, c := range map[string]struct {
		in   *angzarr.ContextualCommand
		want codes.Code
	}{
		"a command of an unknown type": {ask(nobody), codes.InvalidArgument},
		"a command of broken bytes":    {ask(broken), codes.InvalidArgument},
		"a page without a command":     {ask(nil), codes.InvalidArgument},
		"an event of an unknown type": {
			&angzarr.ContextualCommand{Events: &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: nobody}}}}, codes.Internal,
		},
		"a snapshot of another type": {
			&angzarr.ContextualCommand{Events: &angzarr.EventBook{Snapshot: &angzarr.Snapshot{State: broken}}}, codes.Internal,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := (Logic{}).Handle(context.Background(), c.in); status.Code(err) != c.want {
				t.Errorf("answered %v, want %v", err, c.want)
			}
		})
	}
}

func TestAnInvalidFieldIsNamedInTheDetails(t *testing.T) {
	_, err := decide(&pb.Product{}, &pb.CreateProduct{})
	details := status.Convert(err).Details()
	if len(details) != 1 {
		t.Fatalf("%d details, want 1", len(details))
	}
	request, ok := details[0].(*errdetails.BadRequest)
	if !ok || request.GetFieldViolations()[0].GetField() != "sku" {
		t.Errorf("details are %v, want a violation of sku", details)
	}
}

func TestSnapshotComesWithTheHundredthPage(t *testing.T) {
	given := events{&pb.ProductCreated{Sku: "WIDGET"}}
	for len(given) < snapshotEvery-2 {
		given = append(given, &pb.StockAdjusted{Delta: 1})
	}
	for name, c := range map[string]struct {
		when commands
		want *pb.Product
	}{
		"at page 99":                   {commands{&pb.AdjustStock{Delta: 1}}, nil},
		"at page 100":                  {commands{&pb.AdjustStock{Delta: 1}, &pb.AdjustStock{Delta: 1}}, &pb.Product{Sku: "WIDGET", OnHand: 99}},
		"past page 100, with its unit": {commands{&pb.AdjustStock{Delta: 1}, &pb.AdjustStock{Delta: 1}, &pb.ReserveStock{OrderId: "o-1", Quantity: 9}}, &pb.Product{Sku: "WIDGET", OnHand: 99, Reservations: map[string]uint32{"o-1": 9}}},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := Logic{}.Handle(context.Background(), contextual(t, nil, given, c.when))
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				if answer.GetSnapshot() != nil {
					t.Errorf("snapshot %v, want none", answer.GetSnapshot())
				}
				return
			}
			got, err := answer.GetSnapshot().GetState().UnmarshalNew()
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, c.want) {
				t.Errorf("snapshot of %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheAnswerIsForTheCommandsRoot(t *testing.T) {
	answer, err := Logic{}.Handle(context.Background(), contextual(t, nil, nil, commands{&pb.CreateProduct{Sku: "WIDGET"}}))
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(answer.GetCover(), cover()) {
		t.Errorf("cover %v, want %v", answer.GetCover(), cover())
	}
	if answer.GetPages()[0].GetSequence() != nil {
		t.Errorf("the page has the number %v, want it left to the coordinator", answer.GetPages()[0].GetSequence())
	}
}
