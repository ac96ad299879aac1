package reactortest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Place is where a service may be served.
type Place struct {
	t       testing.TB
	address string
	mu      sync.Mutex
	server  *grpc.Server
}

// NewPlace finds one; nothing is served there yet.
func NewPlace(t testing.TB) *Place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := &Place{t: t, address: l.Addr().String()}
	t.Cleanup(p.End)
	return p
}

// Begin serves what is registered.
func (p *Place) Begin(register func(grpc.ServiceRegistrar)) {
	p.t.Helper()
	var l net.Listener
	Eventually(p.t, "the place is free", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", p.address)
		return err == nil
	})
	server := grpc.NewServer(grpc.ChainUnaryInterceptor(recovers))
	register(server)
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	go server.Serve(l)
}

// End breaks all connections, as the end of a process does.
func (p *Place) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server != nil {
		p.server.Stop()
	}
}

// Conn is a connection to what is served there.
func (p *Place) Conn() grpc.ClientConnInterface {
	p.t.Helper()
	conn, err := grpc.NewClient(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.5, MaxDelay: 20 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	return conn
}

// Serve has something served until the test ends.
func Serve(t testing.TB, register func(grpc.ServiceRegistrar)) grpc.ClientConnInterface {
	t.Helper()
	p := NewPlace(t)
	p.Begin(register)
	return p.Conn()
}

// recovers does what servers in most languages do by themselves.
func recovers(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (_ any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = status.Errorf(codes.Internal, "panic: %v", p)
		}
	}()
	return handle(ctx, req)
}
