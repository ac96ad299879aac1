package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	caller "github.com/angzarr/angzarr-kafka/examples/client-go"
	"github.com/angzarr/angzarr-kafka/examples/client-go/stock"
	"github.com/angzarr/angzarr-kafka/examples/inventory"
	inventorypb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// shop is an inventory domain, its business logic, and a configuration for
// processes that serve it.
type shop struct {
	*testing.T
	broker *logtest.Broker
	domain string
	dir    string
	config string
}

func newShop(t *testing.T, redis string) *shop {
	t.Helper()
	b := logtest.Start(t)
	s := &shop{T: t, broker: b, domain: b.Domain("shop"), dir: t.TempDir()}
	logic := grpc.NewServer()
	inventory.Register(logic)
	address, err := listenAndServe(logic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(logic.Stop)
	shelf := "{type: memory}"
	if redis != "" {
		shelf = fmt.Sprintf("{type: redis, address: %q}", redis)
	}
	s.config = fmt.Sprintf(`admin: 127.0.0.1:0
log: {brokers: ["%s"], partitions: 3}
snapshots: %s
business_logic:
  - {domain: %s, address: "%s"}
`, strings.Join(b.Cluster.Brokers, `","`), shelf, s.domain, address)
	return s
}

func (s *shop) configure(file, content string) {
	if err := os.WriteFile(filepath.Join(s.dir, file), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// serve starts a process at an address, and waits until it takes calls.
func (s *shop) serve(address string) (*running, string) {
	s.Helper()
	file := uuid.NewString() + ".yaml"
	s.configure(file, fmt.Sprintf("listen: %s\n%s", address, s.config))
	r := start(s.T, s.dir, "serve", "--config", file)
	return r, r.wait(s.T, `msg=ready listen=(\S+)`)[1]
}

func (s *shop) dial(address string) *grpc.ClientConn {
	s.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	return conn
}

// send has a command applied by a door.
func (s *shop) send(conn *grpc.ClientConn, root uuid.UUID, command *anypb.Any) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	_, err := pb.NewBusinessCoordinatorClient(conn).Handle(ctx, &pb.CommandBook{
		Cover: &pb.Cover{Domain: s.domain, Root: &pb.UUID{Value: root[:]}}, CommandId: uuid.NewString(),
		Pages: []*pb.CommandPage{{Command: command}},
	})
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) any(m proto.Message) *anypb.Any {
	s.Helper()
	a, err := anypb.New(m)
	if err != nil {
		s.Fatal(err)
	}
	return a
}

// pagesAt gives how many pages a root has, by a door.
func (s *shop) pagesAt(conn *grpc.ClientConn, root uuid.UUID) int {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 20*time.Second)
	defer cancel()
	stream, err := pb.NewEventQueryClient(conn).GetEvents(ctx, &pb.Query{Domain: s.domain, Root: &pb.UUID{Value: root[:]}})
	if err != nil {
		s.Fatal(err)
	}
	for n := 0; ; {
		book, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			s.Fatal(err)
		}
		for _, p := range book.Pages {
			if n++; int(p.GetNum()) != n {
				s.Fatalf("page %d came where page %d was due", p.GetNum(), n)
			}
		}
	}
}

// What a caller was told is committed is in the answer of any process.
func TestDeploymentReadsItsWrites(t *testing.T) {
	for name, redis := range map[string]bool{"by the log": false, "by the shelf": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := ""
			if redis {
				address = redistest.Start(t)
			}
			s := newShop(t, address)
			_, first := s.serve("127.0.0.1:0")
			_, second := s.serve("127.0.0.1:0")
			writer, reader := s.dial(first), s.dial(second)
			var all sync.WaitGroup
			for range 4 {
				root := uuid.New()
				all.Go(func() {
					s.send(writer, root, s.any(&inventorypb.CreateProduct{Sku: "A", Name: "Lamp", Quantity: 1000}))
					for n := 1; n < 130; n++ { // the hundredth brings a snapshot
						if got := s.pagesAt(reader, root); got != n {
							t.Errorf("after page %d was acknowledged the other process answers %d", n, got)
						}
						s.send(writer, root, s.any(&inventorypb.AdjustStock{Delta: 1, Reason: "found"}))
					}
				})
			}
			all.Wait()
		})
	}
}

// `events --follow` goes on by itself when the process that it asks is restarted.
func TestFollowThroughARestart(t *testing.T) {
	t.Parallel()
	s := newShop(t, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	process, _ := s.serve(address)
	root := uuid.New()
	conn := s.dial(address)
	s.send(conn, root, s.any(&inventorypb.CreateProduct{Sku: "A", Name: "Lamp", Quantity: 10}))

	one := start(t, s.dir, "events", s.domain, root.String(), "--follow", "--server", address)
	all := start(t, s.dir, "events", s.domain, "-f", "-o", "json", "--server", address)
	one.wait(t, `^ +1 .*ProductCreated`)
	all.wait(t, `"number":1,.*ProductCreated`)
	for n := 2; n < 5; n++ {
		s.send(conn, root, s.any(&inventorypb.AdjustStock{Delta: 1, Reason: "found"}))
		one.wait(t, fmt.Sprintf(`^ +%d .*StockAdjusted`, n))
		all.wait(t, fmt.Sprintf(`"number":%d,`, n))
		process.stop(t, syscall.SIGTERM)
		process, _ = s.serve(address)
		conn = s.dial(address)
	}
	// Both say that it is erased, where the log does.
	if _, err := pb.NewErasureClient(conn).Erase(t.Context(), &pb.EraseRequest{Cover: &pb.Cover{Domain: s.domain, Root: &pb.UUID{Value: root[:]}}, CommandId: uuid.NewString()}); err != nil {
		t.Fatal(err)
	}
	one.wait(t, `^ +4  \S+Z  erased$`)
	all.wait(t, fmt.Sprintf(`^{"domain":"%s","root":"%s","erased":true,"last_sequence":4,"time":"[^"]+"}$`, s.domain, root))
	for who, r := range map[string]*running{"of a root": one, "of the domain": all} {
		for n := 1; n < 5; n++ {
			number := regexp.MustCompile(fmt.Sprintf(`(?m)^ +%d .* inventory|"number":%d,`, n, n))
			if times := len(number.FindAllString(r.all(), -1)); times != 1 {
				t.Errorf("%s: page %d was printed %d times:\n%s", who, n, times, r.all())
			}
		}
		if !strings.Contains(r.all(), "resumed") {
			t.Errorf("%s: it said nothing of the connection:\n%s", who, r.all())
		}
		r.cmd.Process.Kill()
	}
}

// The example of a caller: many decide on the same product at once, and a read model
// follows, through restarts of the process and of the model.
func TestClientInGo(t *testing.T) {
	t.Parallel()
	s := newShop(t, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	process, _ := s.serve(address)
	root := uuid.New()
	const pieces, orders = 25, 20
	s.send(s.dial(address), root, s.any(&inventorypb.CreateProduct{Sku: "A", Name: "Lamp", Quantity: pieces}))

	file := filepath.Join(s.dir, "stock.json")
	// follow runs the model until it says so.
	follow := func(until func(map[uuid.UUID]int64) bool) {
		t.Helper()
		model, err := stock.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- model.Follow(ctx, caller.New(s.dial(address)), s.domain) }()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !until(model.Stock()) {
			select {
			case err := <-ended:
				t.Fatalf("the model ended at %v: %v", model.Stock(), err)
			case <-tick.C:
			}
		}
		cancel()
		<-ended
	}
	follow(func(stock map[uuid.UUID]int64) bool { return stock[root] == pieces })

	var all sync.WaitGroup
	var mu sync.Mutex
	soldOut := 0
	for n := range orders {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			c := caller.New(s.dial(address))
			order := fmt.Sprint("order-", n)
			for range 2 { // the second time changes nothing
				err := stock.Reserve(ctx, c, s.domain, root, order, 2)
				if err != nil && strings.Contains(err.Error(), "sold out") {
					mu.Lock()
					soldOut++
					mu.Unlock()
					return
				}
				if err != nil {
					t.Errorf("%s: %v", order, err)
				}
			}
		})
	}
	follow(func(stock map[uuid.UUID]int64) bool { return stock[root] < pieces })
	all.Wait()
	process.stop(t, syscall.SIGTERM)
	s.serve(address)
	follow(func(stock map[uuid.UUID]int64) bool { return stock[root] == 0 })
	// 12 orders got 2 pieces, and one the last.
	if soldOut != orders-13 {
		t.Errorf("%d orders of %d were told that the product is sold out", soldOut, orders)
	}
	if n := s.pagesAt(s.dial(address), root); n != 1+13 {
		t.Errorf("the product has %d events", n)
	}
	model, err := stock.Open(file)
	if err != nil || model.Stock()[root] != 0 {
		t.Errorf("the file says %v, %v", model.Stock(), err)
	}
}
