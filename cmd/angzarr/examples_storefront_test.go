package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/examples/proto/inventorysummary"
	sales "github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/schema"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// storefront is a deployment of the four examples, seen from outside.
type storefront struct {
	*testing.T
	services map[string]*service
	process  *running
	door     doorOf
	address  string // of the front door
	cluster  log.Cluster
}

func openStorefront(t *testing.T, services map[string]*service) *storefront {
	t.Helper()
	at := func(flag, name, example string) []string {
		return []string{flag, name + "=" + services[example].address}
	}
	args := []string{"dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--data", ""}
	args = append(args, at("--logic", "inventory", "inventory")...)
	args = append(args, at("--logic", "order", "order")...)
	args = append(args, at("--saga", "order-fulfillment", "order-fulfillment")...)
	args = append(args, at("--projector", "inventory-summary", "inventory-summary")...)
	r := start(t, t.TempDir(), args...)
	m := &storefront{T: t, services: services, process: r, address: r.wait(t, `^front door +(\S+)`)[1]}
	m.door = dialDoor(t, m.address)
	m.cluster = log.Cluster{Brokers: []string{r.wait(t, `^Kafka +(\S+)`)[1]}}
	return m
}

// describes checks what a service says of itself to who has no protos: that it
// is healthy, and what its messages are.
func (m *storefront) describes(example, name string, messages ...string) {
	m.Helper()
	conn, err := grpc.NewClient(m.services[example].address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		m.Fatal(err)
	}
	defer conn.Close()
	for _, asked := range []string{"", name} {
		answer, err := grpc_health_v1.NewHealthClient(conn).Check(m.Context(), &grpc_health_v1.HealthCheckRequest{Service: asked})
		if err != nil || answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			m.Errorf("%s: the health of %q is %v, %v", example, asked, answer.GetStatus(), err)
		}
	}
	types := schema.FromReflection(conn, example)
	for _, message := range messages {
		if _, err := types.Find(m.Context(), message); err != nil {
			m.Error(err)
		}
	}
	// What it was never told of must not read as a failure to ask.
	var unknown *schema.UnknownTypeError
	if _, err := types.Find(m.Context(), "nobody.Knows"); !errors.As(err, &unknown) || len(unknown.Reasons) > 0 {
		m.Errorf("%s: asked for a type that nobody knows: %v", example, err)
	}
}

// product begins one, with so many of it.
func (m *storefront) product(sku string, quantity uint32) uuid.UUID {
	m.Helper()
	root := uuid.New()
	m.door.send(m.T, "inventory", root, &stock.CreateProduct{Sku: sku, Name: sku, Quantity: quantity})
	return root
}

// order places one.
func (m *storefront) order(lines ...*sales.Line) uuid.UUID {
	m.Helper()
	root := uuid.New()
	m.door.send(m.T, "order", root, &sales.PlaceOrder{Lines: lines})
	return root
}

func of(product uuid.UUID, quantity uint32) *sales.Line {
	return &sales.Line{ProductId: product.String(), Quantity: quantity}
}

func (m *storefront) orderIs(root uuid.UUID, types string) {
	m.Helper()
	m.door.types(m.T, "order", root, types)
}

// productIs waits until these are the types of a product's events, and its
// summary says that so many are there, of which so many are reserved.
func (m *storefront) productIs(root uuid.UUID, onHand, reserved uint32, types string) {
	m.Helper()
	m.door.types(m.T, "inventory", root, types)
	want := &inventorysummary.ProductSummary{OnHand: onHand, Reserved: reserved, Available: onHand - reserved}
	waitFor(m.T, fmt.Sprintf("the summary of product %s says {%v}", root, want), func() bool {
		p := m.projection(root)
		got := &inventorysummary.ProductSummary{}
		if p.GetProjection().UnmarshalTo(got) != nil || int(p.GetSequence()) != strings.Count(types, ",")+1 {
			return false
		}
		want.Sku = got.GetSku()
		return proto.Equal(got, want) && p.GetProjector() == "inventory-summary"
	})
}

// projection is the latest one of a product.
func (m *storefront) projection(root uuid.UUID) *pb.Projection {
	m.Helper()
	latest := &pb.Projection{}
	for _, r := range logtest.ReadCommitted(m.T, m.cluster, log.ProjectionsTopic("inventory-summary")) {
		if uuid.UUID(r.Key) == root {
			latest = &pb.Projection{}
			if err := proto.Unmarshal(r.Value, latest); err != nil {
				m.Fatal(err)
			}
		}
	}
	return latest
}

// last is an aggregate's last event, of the given type.
func (m *storefront) last(domain string, root uuid.UUID, event proto.Message) {
	m.Helper()
	pages := m.book(&pb.Query{Domain: domain, Root: &pb.UUID{Value: root[:]}}).GetPages()
	if err := pages[len(pages)-1].GetEvent().UnmarshalTo(event); err != nil {
		m.Fatal(err)
	}
}

func (m *storefront) book(query *pb.Query) *pb.EventBook {
	m.Helper()
	stream, err := m.door.GetEvents(m.Context(), query)
	if err != nil {
		m.Fatal(err)
	}
	all := &pb.EventBook{}
	for {
		book, err := stream.Recv()
		if err == io.EOF {
			return all
		}
		if err != nil {
			m.Fatal(err)
		}
		proto.Merge(all, book)
	}
}

func (m *storefront) fulfils() {
	m.Helper()
	lamp := m.product("LAMP", 5)
	order := m.order(of(lamp, 3))
	m.orderIs(order, "OrderPlaced, LineReserved, OrderConfirmed")
	m.productIs(lamp, 5, 3, "ProductCreated, StockReserved")
	m.door.send(m.T, "order", order, &sales.ShipOrder{})
	m.orderIs(order, "OrderPlaced, LineReserved, OrderConfirmed, OrderShipped")
	m.productIs(lamp, 2, 0, "ProductCreated, StockReserved, ReservationCommitted")
}

// Whichever line is looked at first: the order is rejected with the reason of
// the product that is short, and the other one gets back what it had set aside.
func (m *storefront) rejectsWhatIsShort() {
	m.Helper()
	lamp, chair := m.product("LAMP", 5), m.product("CHAIR", 4)
	order := m.order(of(lamp, 3), of(chair, 9))
	m.productIs(lamp, 5, 0, "ProductCreated, StockReserved, ReservationReleased")
	m.productIs(chair, 4, 0, "ProductCreated")
	rejected := &sales.OrderRejected{}
	m.last("order", order, rejected)
	if want := `stock of "CHAIR" is short: 4 available (4 on hand, 0 reserved), 9 asked for`; rejected.GetReason() != want || rejected.GetProductId() != chair.String() {
		m.Errorf("rejected as {%v}, want the reason %q", rejected, want)
	}
}

// A reservation in the name of an order that doesn't want it: the order refuses,
// and the product takes it back.
func (m *storefront) takesBackWhatIsNotWanted() {
	m.Helper()
	order := m.order(of(uuid.New(), 1))
	m.orderIs(order, "OrderPlaced, OrderRejected")
	lamp := m.product("LAMP", 5)
	m.door.send(m.T, "inventory", lamp, &stock.ReserveStock{OrderId: order.String(), Quantity: 2})
	m.productIs(lamp, 5, 0, "ProductCreated, StockReserved, ReservationReleased")
}

func (m *storefront) cancels() {
	m.Helper()
	lamp, chair := m.product("LAMP", 5), m.product("CHAIR", 4)
	order := m.order(of(lamp, 1), of(chair, 4))
	m.productIs(lamp, 5, 1, "ProductCreated, StockReserved")
	m.productIs(chair, 4, 4, "ProductCreated, StockReserved")
	m.orderIs(order, "OrderPlaced, LineReserved, LineReserved, OrderConfirmed")
	m.door.send(m.T, "order", order, &sales.CancelOrder{Reason: "changed my mind"})
	m.productIs(lamp, 5, 0, "ProductCreated, StockReserved, ReservationReleased")
	m.productIs(chair, 4, 0, "ProductCreated, StockReserved, ReservationReleased")
	m.orderIs(order, "OrderPlaced, LineReserved, LineReserved, OrderConfirmed, OrderCancelled")
}

// Refusals read the same in each language.
func (m *storefront) refuses() {
	m.Helper()
	lamp := m.product("LAMP", 5)
	placed := m.order(of(lamp, 5))
	m.productIs(lamp, 5, 5, "ProductCreated, StockReserved")
	for _, c := range []struct {
		domain  string
		root    uuid.UUID
		command proto.Message
		code    codes.Code
		message string
		field   string
	}{
		{"inventory", lamp, &stock.AdjustStock{}, codes.InvalidArgument, "delta: must not be zero", "delta"},
		{"inventory", lamp, &stock.CreateProduct{Sku: "LAMP"}, codes.AlreadyExists, `product "LAMP" is there already`, ""},
		{"inventory", lamp, &stock.AdjustStock{Delta: -1}, codes.FailedPrecondition,
			`stock of "LAMP" is short: 0 available (5 on hand, 5 reserved), 1 asked for`, ""},
		{"inventory", uuid.New(), &stock.AdjustStock{Delta: 1}, codes.NotFound, "no such product: create it first", ""},
		{"inventory", lamp, &sales.ShipOrder{}, codes.InvalidArgument,
			"command: unknown type order.ShipOrder: want inventory.CreateProduct, AdjustStock, ReserveStock, CommitReservation or ReleaseReservation", "command"},
		{"order", placed, &sales.PlaceOrder{Lines: []*sales.Line{of(lamp, 1)}}, codes.AlreadyExists, "the order is confirmed already", ""},
		{"order", uuid.New(), &sales.PlaceOrder{Lines: []*sales.Line{of(lamp, 1), of(lamp, 0)}}, codes.InvalidArgument,
			"lines[1].product_id: is that of lines[0] too: want one line a product", "lines[1].product_id"},
		{"order", uuid.New(), &sales.CancelOrder{}, codes.NotFound, "no such order: place it first", ""},
	} {
		err := m.ask(c.domain, c.root, c.command)
		refusal := status.Convert(err)
		if refusal.Code() != c.code || refusal.Message() != c.message {
			m.Errorf("%T was answered with %v, want %v: %s", c.command, err, c.code, c.message)
		}
		var fields []string
		for _, detail := range refusal.Details() {
			if request, ok := detail.(*errdetails.BadRequest); ok {
				fields = append(fields, request.GetFieldViolations()[0].GetField())
			}
		}
		if got := strings.Join(fields, ", "); got != c.field {
			m.Errorf("%T was answered with violations of %q, want %q", c.command, got, c.field)
		}
	}
}

// ask sends commands as one unit.
func (m *storefront) ask(domain string, root uuid.UUID, commands ...proto.Message) error {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), 30*time.Second)
	defer cancel()
	book := &pb.CommandBook{Cover: &pb.Cover{Domain: domain, Root: &pb.UUID{Value: root[:]}}}
	for _, command := range commands {
		packed, err := anypb.New(command)
		if err != nil {
			m.Fatal(err)
		}
		book.Pages = append(book.Pages, &pb.CommandPage{Command: packed})
	}
	_, err := m.door.Handle(ctx, book)
	return err
}

// A hundred pages bring a snapshot, on which the next command is decided.
func (m *storefront) makesSnapshots() {
	m.Helper()
	lamp := m.product("LAMP", 1)
	unit := []proto.Message{&stock.ReserveStock{OrderId: "o-1", Quantity: 1}}
	for len(unit) < 99 {
		unit = append(unit, &stock.AdjustStock{Delta: 1})
	}
	if err := m.ask("inventory", lamp, unit...); err != nil {
		m.Fatal(err)
	}
	open := m.book(&pb.Query{Domain: "inventory", Root: &pb.UUID{Value: lamp[:]}, OpenBook: true})
	state, want := &stock.Product{}, &stock.Product{Sku: "LAMP", Name: "LAMP", OnHand: 99, Reservations: map[string]uint32{"o-1": 1}}
	if err := open.GetSnapshot().GetState().UnmarshalTo(state); err != nil || !proto.Equal(state, want) || open.GetSnapshot().GetSequence() != 100 {
		m.Errorf("the open book begins with {%v} at page %d (%v), want {%v} at page 100", state, open.GetSnapshot().GetSequence(), err, want)
	}
	err := m.ask("inventory", lamp, &stock.AdjustStock{Delta: -99})
	if want := `stock of "LAMP" is short: 98 available (99 on hand, 1 reserved), 99 asked for`; status.Convert(err).Message() != want {
		m.Errorf("after the snapshot: %v, want %s", err, want)
	}
}

// People with a terminal and no protos can use it.
func (m *storefront) speaksJSON() {
	m.Helper()
	var out bytes.Buffer
	args := []string{"send", "inventory", uuid.NewString(), "inventory.CreateProduct", `{"sku": "TERMINAL"}`, "--server", m.address}
	if code := run(m.Context(), args, strings.NewReader(""), &out, &out); code != exitDone || !strings.Contains(out.String(), `"sku":"TERMINAL"`) {
		m.Errorf("exit status %d: %s", code, &out)
	}
}

func (m *storefront) leavesNoDeadLetters() {
	m.Helper()
	for _, domain := range []string{"inventory", "order"} {
		for _, letter := range logtest.ReadCommitted(m.T, m.cluster, log.DeadLettersTopic(domain)) {
			m.Errorf("a dead letter of %s: %q %v", domain, letter.Value, letter.Headers)
		}
	}
}
