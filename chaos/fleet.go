package chaos

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// fleet is the serve processes. Those with even slots have peers, the others are
// reached by the topic alone.
type fleet struct {
	binary string
	dir    string
	env    []string
	slots  []*process

	mu      sync.Mutex
	starts  int
	crashed []string // processes that ended although nobody told them to
}

// process is a place for a serve process, which keeps its addresses.
type process struct {
	slot   int
	config string
	conn   *grpc.ClientConn
	door   pb.BusinessCoordinatorClient
	query  pb.EventQueryClient

	busy sync.Mutex // held by the fault that it suffers

	// owned by who holds busy
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has
	told  chan struct{} // closed when it is told to end
}

// newFleet makes places for processes; none is started.
func newFleet(binary, dir string, env []string, n int, config func(slot int, listen, peers string) string) (*fleet, error) {
	f := &fleet{binary: binary, dir: dir, env: env}
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	for slot := range n {
		p := &process{slot: slot, config: filepath.Join(dir, fmt.Sprintf("%d.yaml", slot))}
		listen, peers := ports[2*slot], ports[2*slot+1]
		if slot%2 == 1 {
			peers = ""
		}
		if err := os.WriteFile(p.config, []byte(config(slot, listen, peers)), 0o600); err != nil {
			return nil, err
		}
		p.conn, err = grpc.NewClient(listen, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithConnectParams(grpc.ConnectParams{ // a process that is back is called again soon
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond},
				MinConnectTimeout: time.Second,
			}))
		if err != nil {
			return nil, err
		}
		p.door, p.query = pb.NewBusinessCoordinatorClient(p.conn), pb.NewEventQueryClient(p.conn)
		f.slots = append(f.slots, p)
	}
	return f, nil
}

// freePorts are addresses at which nobody listens, below the ports that the
// system gives to outgoing connections: a process must find its own free again.
func freePorts(n int) (addresses []string, err error) {
	for tries := 0; len(addresses) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+mathrand.IntN(20_000)))
		if err != nil {
			if tries > 100 {
				return nil, fmt.Errorf("find a free port: %w", err)
			}
			continue
		}
		defer l.Close() // only now, so that no two are the same
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// patience is how long anything may take that is bound to come.
const patience = 90 * time.Second

// start starts a process and returns once it takes calls. One that doesn't come
// up, as without its broker, is started again, as whoever runs it would.
func (f *fleet) start(ctx context.Context, p *process) error {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		said, err := os.OpenFile(filepath.Join(f.dir, fmt.Sprintf("%d.log", p.slot)), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		out := &output{file: said, ready: make(chan struct{})}
		cmd := exec.Command(f.binary, "serve", "--config", p.config)
		cmd.Dir, cmd.Env = f.dir, append(os.Environ(), f.env...)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			said.Close()
			return fmt.Errorf("start process %d: %w", p.slot, err)
		}
		f.count()
		p.cmd, p.ended, p.told = cmd, make(chan struct{}), make(chan struct{})
		go f.wait(p.slot, cmd, out, p.ended, p.told)
		select {
		case <-out.ready:
			return nil
		case <-p.ended:
			if sleep(within, time.Second) != nil {
				return fmt.Errorf("process %d ends whenever it is started; the last time it said %q", p.slot, out.tail)
			}
		case <-within.Done():
			f.end(p, syscall.SIGKILL)
			return fmt.Errorf("process %d is not ready: %w; see %s", p.slot, within.Err(), said.Name())
		}
	}
}

func (f *fleet) count() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts++
}

// wait waits for a process's end. Nothing that happens to others may end one
// that was ready.
func (f *fleet) wait(slot int, cmd *exec.Cmd, out *output, ended, told chan struct{}) {
	err := cmd.Wait()
	out.file.Close()
	select {
	case <-told:
	default:
		select {
		case <-out.ready:
			f.mu.Lock()
			f.crashed = append(f.crashed, fmt.Sprintf("process %d ended by itself (%v); see %s", slot, err, out.file.Name()))
			f.mu.Unlock()
		default:
		}
	}
	close(ended)
}

// endTimeout is how long a process may take to end: one that is told to while it
// waits to join its group may have to wait until the others have joined too, at
// most for the rebalance timeout of 30 s, after 15 s of trying to leave.
const endTimeout = time.Minute

// end ends a process if it runs, and returns once it has ended. One that is told
// to do so by itself must, within its time.
func (f *fleet) end(p *process, signal syscall.Signal) {
	if p.cmd == nil {
		return
	}
	close(p.told)
	p.cmd.Process.Signal(signal)
	timeout := time.NewTimer(endTimeout)
	defer timeout.Stop()
	select {
	case <-p.ended:
	case <-timeout.C:
		f.mu.Lock()
		f.crashed = append(f.crashed, fmt.Sprintf("process %d did not end within %v of %v", p.slot, endTimeout, signal))
		f.mu.Unlock()
		p.cmd.Process.Kill()
		<-p.ended
	}
	p.cmd = nil
}

// endAll ends all processes.
func (f *fleet) endAll(signal syscall.Signal) {
	var all sync.WaitGroup
	for _, p := range f.slots {
		all.Go(func() {
			p.busy.Lock()
			defer p.busy.Unlock()
			f.end(p, signal)
		})
	}
	all.Wait()
}

// output keeps what a process says, and hears when it is ready.
type output struct {
	file  *os.File
	ready chan struct{}
	heard bool
	tail  string // what it said last, until it was ready
}

// Write is called by one goroutine at a time: cmd's own.
func (o *output) Write(b []byte) (int, error) {
	if !o.heard {
		const most = 500
		o.tail += string(b)
		if o.heard = strings.Contains(o.tail, "msg=ready"); o.heard {
			close(o.ready)
		} else if n := len(o.tail) - most; n > 0 {
			o.tail = o.tail[n:]
		}
	}
	return o.file.Write(b)
}
