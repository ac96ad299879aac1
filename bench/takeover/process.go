package takeover

import (
	"context"
	"encoding/json"
	"fmt"
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

	"github.com/angzarr/angzarr-kafka/bench/usage"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// setting is how a child is configured.
type setting struct {
	peers bool
	redis bool
}

// process is a child: `serve`, with a configuration of its own.
type process struct {
	w      *world
	config string
	admin  string
	listen string
	peer   string // "" where peers are off
	conn   *grpc.ClientConn
	door   pb.BusinessCoordinatorClient

	// From one start to the next:
	cmd         *exec.Cmd
	said        *output
	ended       chan struct{}
	up          time.Time // when it said that it takes calls
	incarnation string    // where the fleet has learnt it
}

// newProcess makes a child of a domain's, which is not started yet.
func (w *world) newProcess(d *domain, s setting) (*process, error) {
	addresses, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	config := object{
		"listen": addresses[0], "admin": addresses[1],
		"log":            object{"type": "kafka", "brokers": w.Brokers, "partitions": w.Partitions, "replication_factor": w.Replication},
		"snapshots":      object{"type": "memory"},
		"limits":         object{"books": "64MiB"},
		"business_logic": []object{{"domain": d.name, "address": w.logic}},
	}
	if s.redis {
		config["snapshots"] = object{"type": "redis", "address": w.Redis}
	}
	peer := ""
	if s.peers {
		peer = addresses[2]
		config["peers"] = object{"listen": peer, "advertise": peer, "insecure": true}
	}
	content, err := json.Marshal(config) // which is YAML too
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addresses[0])
	p := &process{w: w, config: filepath.Join(w.folder, port+".yaml"), listen: addresses[0], admin: addresses[1], peer: peer}
	if err := os.WriteFile(p.config, content, 0o600); err != nil {
		return nil, err
	}
	p.conn, err = grpc.NewClient(p.listen, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.6, MaxDelay: 50 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	p.door = pb.NewBusinessCoordinatorClient(p.conn)
	return p, err
}

// start returns when the process takes calls.
func (p *process) start(ctx context.Context) error {
	p.said = &output{show: p.w.Child}
	p.cmd = exec.Command(p.w.Binary, "serve", "--config", p.config)
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start a process: %w", err)
	}
	cmd, ended := p.cmd, make(chan struct{})
	p.ended = ended
	go func() {
		cmd.Wait() //nolint:errcheck // how it ended is for those to ask who ended it
		close(ended)
	}()
	if err := p.wait(ctx, "msg=ready"); err != nil {
		return err
	}
	p.up = time.Now()
	return nil
}

// wait waits until the process says something.
func (p *process) wait(ctx context.Context, what string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !p.said.has(what) {
		select {
		case <-p.ended:
			return fmt.Errorf("a process ended that was to say %q, last saying:\n%s", what, p.said.tail())
		default:
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return fmt.Errorf("wait until a process says %q: %w; it last said:\n%s", what, err, p.said.tail())
		}
	}
	return nil
}

func (p *process) signal(s syscall.Signal) {
	p.cmd.Process.Signal(s) //nolint:errcheck // whoever waits for what comes of it will see
}

// kill kills the process as a crash does, and says when.
func (p *process) kill() time.Time { return p.silence(syscall.SIGKILL) }

// hang stops the process where it is, and says when.
func (p *process) hang() time.Time { return p.silence(syscall.SIGSTOP) }

func (p *process) silence(s syscall.Signal) time.Time {
	at := time.Now()
	p.signal(s)
	return at
}

// term stops the process as people do, which must end well.
func (p *process) term(ctx context.Context) error {
	if p.cmd == nil {
		return nil
	}
	p.signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-p.ended:
		if state := p.cmd.ProcessState; !state.Success() {
			return fmt.Errorf("a process ended badly (%v), last saying:\n%s", state, p.said.tail())
		}
		p.cmd = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a process did not end: %w; it last said:\n%s", ctx.Err(), p.said.tail())
	}
}

// end ends the process, whatever state it is in, and what was opened for it.
func (p *process) end() {
	if p.cmd != nil {
		p.signal(syscall.SIGKILL)
		<-p.ended
		p.cmd = nil
	}
	p.conn.Close()
}

func (p *process) usage() usage.Usage { return usage.Of(p.cmd.Process.Pid) }

// output keeps what a process says.
type output struct {
	show bool
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	if o.show {
		os.Stderr.Write(b) //nolint:errcheck // best effort
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) has(what string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(o.text.String(), what)
}

func (o *output) tail() string {
	const most = 4 << 10
	o.mu.Lock()
	defer o.mu.Unlock()
	text := strings.TrimSpace(o.text.String())
	return text[max(0, len(text)-most):]
}

// freeAddresses are n on loopback that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		addresses[i] = listener.Addr().String()
	}
	return addresses, nil
}

// sleep ends early, with an error, if ctx does.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
