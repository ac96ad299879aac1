package order

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/examples/serving/servingtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const lamp, chair, table = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222", "33333333-3333-4333-8333-333333333333"

func lines(l ...*pb.Line) []*pb.Line { return l }

func of(product string, quantity uint32) *pb.Line {
	return &pb.Line{ProductId: product, Quantity: quantity}
}

// Where most stories begin: a lamp and four chairs.
var (
	placedBoth = &pb.OrderPlaced{Lines: lines(of(lamp, 1), of(chair, 4))}
	lampIsSet  = &pb.LineReserved{ProductId: lamp, Quantity: 1, Reservation: 7}
	chairsAre  = &pb.LineReserved{ProductId: chair, Quantity: 4, Reservation: 8}
	confirms   = &pb.OrderConfirmed{}
	ships      = &pb.OrderShipped{Lines: lines(of(lamp, 1), of(chair, 4))}
	cancels    = &pb.OrderCancelled{Reason: "changed my mind"}
	rejects    = &pb.OrderRejected{Reason: "not now", ProductId: chair}
)

func TestDecisions(t *testing.T) {
	for _, s := range []scenario{
		{
			name: "an order is placed",
			when: commands{&pb.PlaceOrder{Lines: lines(of(lamp, 1), of(chair, 4))}},
			then: events{placedBoth},
		},
		{
			name: "products are written in one way",
			when: commands{&pb.PlaceOrder{Lines: lines(of("{11111111-1111-4111-8111-111111111111}", 1), of("22222222222242228222222222222222", 4))}},
			then: events{placedBoth},
		},
		{
			name: "a line is reserved", given: events{placedBoth},
			when: commands{&pb.RecordReservation{ProductId: chair, Quantity: 4, Reservation: 8}},
			then: events{chairsAre},
		},
		{
			name: "the last line confirms the order", given: events{placedBoth, chairsAre},
			when: commands{&pb.RecordReservation{ProductId: lamp, Quantity: 1, Reservation: 7}},
			then: events{lampIsSet, confirms},
		},
		{
			name: "both lines in one unit", given: events{placedBoth},
			when: commands{&pb.RecordReservation{ProductId: lamp, Quantity: 1, Reservation: 7}, &pb.RecordReservation{ProductId: chair, Quantity: 4, Reservation: 8}},
			then: events{lampIsSet, chairsAre, confirms},
		},
		{
			name: "a line is reserved once", given: events{placedBoth, chairsAre},
			when: commands{&pb.RecordReservation{ProductId: chair, Quantity: 4, Reservation: 8}},
		},
		{
			name: "a line is reserved once, confirmed or not", given: events{placedBoth, chairsAre, lampIsSet, confirms},
			when: commands{&pb.RecordReservation{ProductId: chair, Quantity: 4, Reservation: 8}},
		},
		{
			name: "what is shipped is not given back", given: events{placedBoth, chairsAre, lampIsSet, confirms, ships},
			when: commands{&pb.RecordReservation{ProductId: chair, Quantity: 4, Reservation: 8}},
		},
		{
			name: "a confirmed order ships all of its lines", given: events{placedBoth, chairsAre, lampIsSet, confirms},
			when: commands{&pb.ShipOrder{}},
			then: events{ships},
		},
		{
			name: "an order is cancelled before anything is reserved", given: events{placedBoth},
			when: commands{&pb.CancelOrder{Reason: "changed my mind"}},
			then: events{cancels},
		},
		{
			name: "a cancelled order names what is reserved", given: events{placedBoth, chairsAre},
			when: commands{&pb.CancelOrder{}},
			then: events{&pb.OrderCancelled{Reserved: lines(of(chair, 4))}},
		},
		{
			name: "a confirmed order can still be cancelled", given: events{placedBoth, chairsAre, lampIsSet, confirms},
			when: commands{&pb.CancelOrder{}},
			then: events{&pb.OrderCancelled{Reserved: lines(of(lamp, 1), of(chair, 4))}},
		},
	} {
		t.Run(s.name, s.run)
	}
}

func TestRefusals(t *testing.T) {
	tooMany := &pb.PlaceOrder{}
	for range mostLines + 1 {
		tooMany.Lines = append(tooMany.Lines, of(lamp, 1))
	}
	for _, s := range []scenario{
		{name: "an order is placed once", given: events{placedBoth}, when: commands{&pb.PlaceOrder{Lines: lines(of(lamp, 1))}},
			refused: codes.AlreadyExists, because: "the order is placed already"},
		{name: "no lines", when: commands{&pb.PlaceOrder{}}, refused: codes.InvalidArgument, because: "lines: want 1 to 100, not 0"},
		{name: "too many lines", when: commands{tooMany}, refused: codes.InvalidArgument, because: "lines: want 1 to 100, not 101"},
		{name: "no product", when: commands{&pb.PlaceOrder{Lines: lines(of("LAMP", 1))}},
			refused: codes.InvalidArgument, because: "lines[0].product_id: want a product's UUID"},
		{name: "a product twice", when: commands{&pb.PlaceOrder{Lines: lines(of(lamp, 1), of(chair, 1), of(lamp, 2))}},
			refused: codes.InvalidArgument, because: "lines[2].product_id: is that of lines[0] too"},
		{name: "none of a product", when: commands{&pb.PlaceOrder{Lines: lines(of(lamp, 1), of(chair, 0))}},
			refused: codes.InvalidArgument, because: "lines[1].quantity: "},
		{name: "another product", given: events{placedBoth}, when: commands{&pb.RecordReservation{ProductId: table, Quantity: 1}},
			refused: codes.FailedPrecondition, because: "no line of product"},
		{name: "too few of a product", given: events{placedBoth}, when: commands{&pb.RecordReservation{ProductId: chair, Quantity: 3}},
			refused: codes.FailedPrecondition, because: "wants 4 of product " + chair + ", not 3"},
		{name: "a cancelled order wants nothing", given: events{placedBoth, cancels}, when: commands{&pb.RecordReservation{ProductId: chair, Quantity: 4, Reservation: 8}},
			refused: codes.FailedPrecondition, because: "the order is cancelled: it wants no stock any more"},
		{name: "a rejected order wants nothing", given: events{placedBoth, rejects}, when: commands{&pb.RecordReservation{ProductId: lamp, Quantity: 1, Reservation: 7}},
			refused: codes.FailedPrecondition, because: "the order is rejected: it wants no stock any more"},
		{name: "a shipped order wants nothing more", given: events{placedBoth, chairsAre, lampIsSet, confirms, ships},
			when:    commands{&pb.RecordReservation{ProductId: lamp, Quantity: 1, Reservation: 9}},
			refused: codes.FailedPrecondition, because: "the order is shipped: it wants no stock any more"},
		{name: "half an order doesn't ship", given: events{placedBoth, chairsAre}, when: commands{&pb.ShipOrder{}},
			refused: codes.FailedPrecondition, because: "not confirmed: 1 of 2 lines are not reserved"},
		{name: "an order ships once", given: events{placedBoth, chairsAre, lampIsSet, confirms, ships}, when: commands{&pb.ShipOrder{}},
			refused: codes.FailedPrecondition, because: "the order is shipped"},
		{name: "a rejected order doesn't ship", given: events{placedBoth, rejects}, when: commands{&pb.ShipOrder{}},
			refused: codes.FailedPrecondition, because: "the order is rejected: not now"},
		{name: "what is shipped can't be cancelled", given: events{placedBoth, chairsAre, lampIsSet, confirms, ships}, when: commands{&pb.CancelOrder{}},
			refused: codes.FailedPrecondition, because: "the order is shipped"},
		{name: "an order is cancelled once", given: events{placedBoth, cancels}, when: commands{&pb.CancelOrder{}},
			refused: codes.FailedPrecondition, because: "the order is cancelled: changed my mind"},
		{name: "one refused command refuses its unit", given: events{placedBoth}, when: commands{&pb.CancelOrder{}, &pb.ShipOrder{}},
			refused: codes.FailedPrecondition, because: "the order is cancelled"},
		{name: "reserve for what never was", when: commands{&pb.RecordReservation{ProductId: lamp, Quantity: 1, Reservation: 7}}, refused: codes.NotFound, because: "no such order"},
		{name: "ship what never was", when: commands{&pb.ShipOrder{}}, refused: codes.NotFound, because: "no such order"},
		{name: "cancel what never was", when: commands{&pb.CancelOrder{}}, refused: codes.NotFound, because: "no such order"},
		{name: "an event is no command", given: events{placedBoth}, when: commands{confirms}, refused: codes.InvalidArgument, because: "unknown type order.OrderConfirmed"},
		{name: "history with a foreign page is not decided on", given: events{placedBoth, &pb.ShipOrder{}}, when: commands{&pb.ShipOrder{}},
			refused: codes.Internal, because: "page 2: not an event of an order: order.ShipOrder"},
	} {
		t.Run(s.name, s.run)
	}
}

func TestUnreadable(t *testing.T) {
	nobody := &anypb.Any{TypeUrl: "type.googleapis.com/nobody.Knows"}
	broken := &anypb.Any{TypeUrl: "type.googleapis.com/order.PlaceOrder", Value: []byte{0xff}}
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
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := (Logic{}).Handle(t.Context(), c.in); status.Code(err) != c.want {
				t.Errorf("answered %v, want %v", err, c.want)
			}
		})
	}
}

func TestOverTheWire(t *testing.T) {
	conn := servingtest.Dial(t, Register)
	answer, err := angzarr.NewBusinessLogicClient(conn).Handle(t.Context(),
		contextual(t, events{placedBoth, chairsAre}, commands{&pb.CancelOrder{Reason: "late"}}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(t, answer), text(t, book(t, events{&pb.OrderCancelled{Reason: "late", Reserved: lines(of(chair, 4))}})); got != want {
		t.Errorf("led to %s, want %s", got, want)
	}
	servingtest.Described(t, conn, "angzarr.BusinessLogic", "order.PlaceOrder", "order.OrderRejected", "angzarr.RejectionNotification")
}
