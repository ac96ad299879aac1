package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	ordering "github.com/angzarr/angzarr-kafka/examples/order"
	"github.com/angzarr/angzarr-kafka/examples/orderfulfillment"
	"github.com/angzarr/angzarr-kafka/examples/serving"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// market names the example domains of a run, and what works between them: a saga
// of both, and a projector of the inventory.
type market struct {
	orders, inventory string // domains
	saga, summary     string
}

func newMarket(suffix string) *market {
	return &market{"order-" + suffix, "inventory-" + suffix, "fulfillment-" + suffix, "summary-" + suffix}
}

func (m *market) domains() []string { return []string{m.inventory, m.orders} }

// fulfillment is the saga, as a function: the proofs ask it what must have been sent.
func (m *market) fulfillment() orderfulfillment.Saga {
	return orderfulfillment.Saga{Orders: m.orders, Inventory: m.inventory}
}

// config is what a process's configuration says of the market, all of which is at
// one address; begin is the business logic that stands before.
func (m *market) config(begin, address string) string {
	return fmt.Sprintf(`business_logic:
%s  - {domain: %s, address: '%[6]s'}
  - {domain: %[3]s, address: '%[6]s'}
projectors: [{name: %[5]s, domains: [%[3]s], address: '%[6]s'}]
sagas: [{name: %[4]s, domains: [%[2]s, %[3]s], address: '%[6]s'}]
`, begin, m.orders, m.inventory, m.saga, m.summary, address)
}

// both is the business logic of orders and inventory at one address.
type both struct {
	pb.UnimplementedBusinessLogicServer
	orders string
}

func (b both) Handle(ctx context.Context, c *pb.ContextualCommand) (*pb.EventBook, error) {
	if c.GetCommand().GetCover().GetDomain() == b.orders {
		return ordering.Logic{}.Handle(ctx, c)
	}
	return inventory.Logic{}.Handle(ctx, c)
}

// ServeExamples serves the examples for domains of these names, until ctx ends.
func ServeExamples(ctx context.Context, address, orders, inventory string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	m := market{orders: orders, inventory: inventory}
	return serving.Serve(ctx, listener, func(server *grpc.Server) {
		pb.RegisterBusinessLogicServer(server, both{orders: orders})
		pb.RegisterSagaServer(server, m.fulfillment())
		pb.RegisterProjectorServer(server, inventorysummary.Projector{})
		serving.Describe(server)
	})
}

// stall is the process that serves the examples: this program, started again.
type stall struct {
	address string
	market  *market
	dir     string

	busy sync.Mutex // held by the fault that it suffers
	cmd  *exec.Cmd  // owned by who holds busy
}

// newStall starts the process.
func newStall(ctx context.Context, m *market, dir string) (*stall, error) {
	addresses, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &stall{address: addresses[0], market: m, dir: dir}
	return s, s.start(ctx)
}

func (s *stall) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the examples: %w", err)
	}
	said, err := os.OpenFile(filepath.Join(s.dir, "examples.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer said.Close()
	s.cmd = exec.Command(self, "examples", s.address, s.market.orders, s.market.inventory)
	s.cmd.Stdout, s.cmd.Stderr = said, said
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start the examples: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(within, "tcp", s.address)
		if err == nil {
			return conn.Close()
		}
		if sleep(within, 20*time.Millisecond) != nil {
			s.kill() //nolint:errcheck // that it doesn't answer says more
			return fmt.Errorf("the examples do not answer at %s: %w", s.address, err)
		}
	}
}

// kill ends the process. One that has ended by itself is an error.
func (s *stall) kill() error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Kill()
	s.cmd.Wait() //nolint:errcheck // it was killed
	s.cmd = nil
	if err != nil {
		return fmt.Errorf("the examples: %w", err)
	}
	return nil
}

// away kills the process and starts it again later.
func (s *stall) away(ctx context.Context, d time.Duration) error {
	s.busy.Lock()
	defer s.busy.Unlock()
	if err := s.kill(); err != nil {
		return err
	}
	// Whatever ends the run, it is there again.
	return errors.Join(sleep(ctx, d), s.start(context.WithoutCancel(ctx)))
}

// silent stops the process and has it go on later.
func (s *stall) silent(ctx context.Context, d time.Duration) error {
	s.busy.Lock()
	defer s.busy.Unlock()
	if s.cmd == nil {
		return nil // it could not be started again, and so the run ends
	}
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop the examples: %w", err)
	}
	return errors.Join(sleep(ctx, d), s.cmd.Process.Signal(syscall.SIGCONT))
}

func (s *stall) end() error {
	s.busy.Lock()
	defer s.busy.Unlock()
	return s.kill()
}
