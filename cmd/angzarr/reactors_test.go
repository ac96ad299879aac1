package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// orderLogic is the business logic of two domains, orders and stock. An order of
// "nothing" can't be reserved.
type orderLogic struct {
	pb.UnimplementedBusinessLogicServer
	stock string // the domain
}

func said(a *anypb.Any) string {
	var s wrapperspb.StringValue
	if err := a.UnmarshalTo(&s); err != nil {
		return a.GetTypeUrl()
	}
	return s.Value
}

func says(format string, args ...any) *anypb.Any {
	a, err := anypb.New(wrapperspb.String(fmt.Sprintf(format, args...)))
	if err != nil {
		panic(err)
	}
	return a
}

func (s *orderLogic) Handle(_ context.Context, c *pb.ContextualCommand) (*pb.EventBook, error) {
	command := c.Command.Pages[0].Command
	event := says("%s done", said(command))
	told := &pb.RejectionNotification{}
	switch {
	case command.UnmarshalTo(told) == nil:
		event = says("cancelled: %s", told.Message)
	case c.Command.Cover.Domain == s.stock && strings.HasSuffix(said(command), "nothing"):
		return nil, status.Error(codes.FailedPrecondition, "short of it")
	}
	return &pb.EventBook{Pages: []*pb.EventPage{{Event: event}}}, nil
}

// reserving is the saga.
type reserving struct {
	pb.UnimplementedSagaServer
	stock string // the domain
}

// HandleSync reserves what is ordered.
func (s reserving) HandleSync(_ context.Context, b *pb.EventBook) (*pb.SynchronousProcessingResponse, error) {
	what, ordered := strings.CutPrefix(strings.TrimSuffix(said(b.Pages[0].Event), " done"), "order ")
	if !ordered {
		return &pb.SynchronousProcessingResponse{}, nil
	}
	return &pb.SynchronousProcessingResponse{Commands: []*pb.CommandBook{{
		Cover: &pb.Cover{Domain: s.stock, Root: b.Cover.Root},
		Pages: []*pb.CommandPage{{Command: says("reserve %s", what)}},
	}}}, nil
}

// lastEvent is a projector of an aggregate's last event.
type lastEvent struct {
	pb.UnimplementedProjectorServer
}

func (lastEvent) HandleSync(_ context.Context, b *pb.EventBook) (*pb.Projection, error) {
	return &pb.Projection{Projection: b.Pages[len(b.Pages)-1].Event}, nil
}

// TestServeReactors has orders placed at a process with all roles, one of which
// is compensated; it is stopped and started again, and nothing comes twice.
func TestServeReactors(t *testing.T) {
	b := logtest.Start(t)
	orders, stock := b.Domain("order"), b.Domain("stock")
	summary, fulfilment := b.Domain("summary"), b.Domain("fulfilment")
	server := grpc.NewServer()
	pb.RegisterBusinessLogicServer(server, &orderLogic{stock: stock})
	pb.RegisterSagaServer(server, reserving{stock: stock})
	pb.RegisterProjectorServer(server, lastEvent{})
	address, err := listenAndServe(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	dir := t.TempDir()
	config := fmt.Sprintf(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
log: {brokers: [%s], partitions: 2}
business_logic:
  - {domain: %s, address: "%s"}
  - {domain: %s, address: "%[3]s"}
projectors:
  - {name: %[5]s, domains: [%[2]s, %[4]s], address: "%[3]s"}
sagas:
  - {name: %[6]s, domains: [%[2]s], address: "%[3]s", event_types: [google.protobuf.StringValue]}
`, `"`+strings.Join(b.Cluster.Brokers, `","`)+`"`, orders, address, stock, summary, fulfilment)
	if err := os.WriteFile(filepath.Join(dir, "angzarr.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	roots := make(map[string]uuid.UUID)
	for _, round := range []string{"first", "second"} {
		r := start(t, dir, "serve", "--config", "angzarr.yaml")
		door := dialDoor(t, r.wait(t, `msg=ready listen=(\S+)`)[1])
		for _, what := range []string{"lamp", "nothing"} {
			root := uuid.New()
			roots[round+" "+what] = root
			door.order(t, orders, root, what)
		}
		want := map[string]string{
			round + " lamp": "order lamp done", round + " nothing": "order nothing done, cancelled: short of it",
		}
		for name, events := range want {
			door.wait(t, orders, roots[name], events)
		}
		door.wait(t, stock, roots[round+" lamp"], "reserve lamp done")
		waitFor(t, "the projection of the order that was cancelled", func() bool {
			return published(t, b, summary)[roots[round+" nothing"]] == orders+": cancelled: short of it"
		})
		r.stop(t, syscall.SIGTERM)
	}
	for _, topic := range []string{orders, stock} {
		if letters := logtest.ReadCommitted(t, b.Cluster, log.DeadLettersTopic(topic)); len(letters) != 0 {
			t.Errorf("%d dead letters of %s", len(letters), topic)
		}
	}
	if n := sent(t, b, stock); n != 4 {
		t.Errorf("%d commands were sent to stock, want 4", n)
	}
	if n := sent(t, b, orders); n != 2 {
		t.Errorf("%d rejections were told, want 2", n)
	}
}

// TestADomainThatComesLater has a projector of all domains, in a process of its
// own, before there is any.
func TestADomainThatComesLater(t *testing.T) {
	b := logtest.Start(t)
	b.RequireFake(t) // it would read the domains of all other tests
	domain, name := b.Domain("late"), b.Domain("all")
	server := grpc.NewServer()
	pb.RegisterBusinessLogicServer(server, &orderLogic{})
	pb.RegisterProjectorServer(server, lastEvent{})
	address, err := listenAndServe(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	serve := func(service string) *running {
		dir := t.TempDir()
		config := fmt.Sprintf("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: {brokers: [%q], partitions: 2}\n%s\n", b.Cluster.Brokers[0], service)
		if err := os.WriteFile(filepath.Join(dir, "angzarr.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		return start(t, dir, "serve", "--config", "angzarr.yaml")
	}
	projecting := serve(fmt.Sprintf("projectors: [{name: %s, address: %q}]", name, address))
	projecting.wait(t, `msg=ready`)
	deciding := serve(fmt.Sprintf("business_logic: [{domain: %s, address: %q}]", domain, address))
	door := dialDoor(t, deciding.wait(t, `msg=ready listen=(\S+)`)[1])
	root := uuid.New()
	door.order(t, domain, root, "lamp")
	waitFor(t, "its projection", func() bool { return published(t, b, name)[root] == domain+": order lamp done" })
	projecting.stop(t, syscall.SIGTERM)
	deciding.stop(t, syscall.SIGTERM)
}

// sent counts the commands in a domain's topic that no caller waits for.
func sent(t *testing.T, b *logtest.Broker, domain string) (n int) {
	t.Helper()
	for _, k := range logtest.ReadCommitted(t, b.Cluster, log.CommandsTopic(domain)) {
		if r := log.FromClient(k); r.Header(log.HeaderReplyTo) == nil {
			n++
		}
	}
	return n
}

// waitFor waits for a condition that nothing announces.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for again := time.NewTicker(20 * time.Millisecond); !holds(); {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("not so: %s", what)
		}
	}
}

// doorOf is a front door that is asked.
type doorOf struct {
	pb.BusinessCoordinatorClient
	pb.EventQueryClient
}

func dialDoor(t *testing.T, address string) doorOf {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return doorOf{pb.NewBusinessCoordinatorClient(conn), pb.NewEventQueryClient(conn)}
}

func (d doorOf) order(t *testing.T, domain string, root uuid.UUID, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := d.Handle(ctx, &pb.CommandBook{
		Cover: &pb.Cover{Domain: domain, Root: &pb.UUID{Value: root[:]}},
		Pages: []*pb.CommandPage{{Command: says("order %s", what)}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wait waits until the aggregate's events say that.
func (d doorOf) wait(t *testing.T, domain string, root uuid.UUID, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	var got string
	for got != want {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("%s/%s says %q, want %q", domain, root, got, want)
		}
		got = d.says(t, ctx, domain, root)
	}
}

func (d doorOf) says(t *testing.T, ctx context.Context, domain string, root uuid.UUID) string {
	t.Helper()
	stream, err := d.GetEvents(ctx, &pb.Query{Domain: domain, Root: &pb.UUID{Value: root[:]}})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for {
		book, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return strings.Join(all, ", ")
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range book.Pages {
			all = append(all, said(p.Event))
		}
	}
}

// published is the latest projection of each root.
func published(t *testing.T, b *logtest.Broker, name string) map[uuid.UUID]string {
	t.Helper()
	latest := make(map[uuid.UUID]string)
	for _, r := range logtest.ReadCommitted(t, b.Cluster, log.ProjectionsTopic(name)) {
		if r.Value == nil {
			delete(latest, uuid.UUID(r.Key))
			continue
		}
		p := &pb.Projection{}
		if err := proto.Unmarshal(r.Value, p); err != nil {
			t.Fatal(err)
		}
		latest[uuid.UUID(r.Key)] = p.Cover.Domain + ": " + said(p.Projection)
	}
	return latest
}
