package business_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// logicFunc is business logic.
type logicFunc func(context.Context, *angzarr.ContextualCommand) (*angzarr.EventBook, error)

type logicServer struct {
	angzarr.UnimplementedBusinessLogicServer
	logicFunc
}

func (s logicServer) Handle(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	return s.logicFunc(ctx, c)
}

// server is a place where business logic may be served.
type server struct {
	t      testing.TB
	addr   string
	mu     sync.Mutex
	serves *grpc.Server
}

// newServer finds a place; nothing is served there yet.
func newServer(t testing.TB) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := &server{t: t, addr: l.Addr().String()}
	t.Cleanup(s.end)
	return s
}

func (s *server) begin(f logicFunc) {
	var l net.Listener
	eventually(s.t, "the place is free", func() (ok bool) {
		var err error
		l, err = net.Listen("tcp", s.addr)
		return err == nil
	})
	g := grpc.NewServer(grpc.ChainUnaryInterceptor(recovers))
	angzarr.RegisterBusinessLogicServer(g, logicServer{logicFunc: f})
	s.mu.Lock()
	s.serves = g
	s.mu.Unlock()
	go g.Serve(l)
}

// end breaks all connections, as the end of a process does.
func (s *server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serves != nil {
		s.serves.Stop()
	}
}

// recovers does what logic servers in most languages do by themselves.
func recovers(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (_ any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = status.Errorf(codes.Internal, "panic: %v", p)
		}
	}()
	return handle(ctx, req)
}

func (s *server) conn() grpc.ClientConnInterface {
	s.t.Helper()
	conn, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.5, MaxDelay: 20 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// serve has business logic served until the test ends.
func serve(t testing.TB, f logicFunc) grpc.ClientConnInterface {
	t.Helper()
	s := newServer(t)
	s.begin(f)
	return s.conn()
}

// text is what a command or an event says.
func text(s string) *anypb.Any {
	a, err := anypb.New(wrapperspb.String(s))
	if err != nil {
		panic(err)
	}
	return a
}

func textOf(a *anypb.Any) string {
	var s wrapperspb.StringValue
	if err := a.UnmarshalTo(&s); err != nil {
		return "?"
	}
	return s.Value
}

// simple does as the command says:
//
//	say n x     answers n events that say x
//	refuse c x  refuses with code c and message x
//	panic       panics
//	nothing     accepts without an event
//	snapshot x  answers an event, and a snapshot of as many events as there are
//
// Anything else leads to one event that says the same.
func simple(_ context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	said := textOf(c.Command.Pages[0].Command)
	word, rest, _ := strings.Cut(said, " ")
	answered := &angzarr.EventBook{Cover: c.Command.Cover}
	add := func(n int, s string) {
		for range n {
			answered.Pages = append(answered.Pages, &angzarr.EventPage{Event: text(s)})
		}
	}
	var n int
	switch word {
	case "say":
		fmt.Sscan(rest, &n)
		add(n, said)
	case "refuse":
		fmt.Sscan(rest, &n)
		return nil, status.Error(codes.Code(n), said)
	case "panic":
		panic(said)
	case "nothing":
	case "snapshot":
		add(1, said)
		answered.Snapshot = &angzarr.Snapshot{State: text(said)}
	default:
		add(1, said)
	}
	return answered, nil
}
