package frontdoor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// A peer that can't be reached costs a moment, no doubt, and no command.
func TestPeerOutOfReach(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		listen func(*testing.T) string // what is at the owner's address
	}{
		"connections are refused": {func(t *testing.T) string {
			l := listen(t)
			l.Close()
			return l.Addr().String()
		}},
		"it keeps silent": {func(t *testing.T) string { // the kernel accepts
			return listen(t).Addr().String()
		}},
		"it hangs up": {func(t *testing.T) string {
			l := listen(t)
			go func() {
				for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
					conn.Close()
				}
			}()
			return l.Addr().String()
		}},
		"it wants TLS": {func(t *testing.T) string {
			l := listen(t)
			s := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(certificate(t))))
			go s.Serve(l)
			t.Cleanup(s.Stop)
			return l.Addr().String()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, echo)
			worker, _ := w.worker(partitioning.NewIdentity(tc.listen(t)))
			w.owns(worker)
			door := w.door(strangers())
			for i := range 3 {
				response, err := door.Handle(w.within(5*time.Second), w.command(uuid.New(), "", "x"))
				if err != nil || said(response) != "1:x " {
					t.Fatalf("call %d: %v, %v", i, response, err)
				}
			}
			commands := logtest.ReadCommitted(t, w.broker.Cluster, log.CommandsTopic(w.domain.Name))
			if len(commands) != 3 {
				t.Errorf("%d of 3 calls went through the topic", len(commands))
			}
			for _, l := range door.c.Peers.links {
				if l.busy != 0 {
					t.Errorf("%d calls are still under way", l.busy)
				}
			}
		})
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func certificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"},
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"peer"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// stranger is what answers at an owner's address in its place.
type stranger struct {
	angzarr.UnimplementedPeersServer
	calls  atomic.Int32
	handle func(context.Context) (*angzarr.SynchronousProcessingResponse, error)
}

func (s *stranger) Handle(ctx context.Context, _ *angzarr.CommandBook) (*angzarr.SynchronousProcessingResponse, error) {
	s.calls.Add(1)
	return s.handle(ctx)
}

// What a peer's error means hangs on who says it: the worker there, or gRPC.
func TestPeerErrors(t *testing.T) {
	t.Parallel()
	type response = angzarr.SynchronousProcessingResponse
	for name, tc := range map[string]struct {
		handle func(context.Context) (*response, error)
		code   codes.Code
		says   string
	}{
		"a refusal": {func(ctx context.Context) (*response, error) {
			return nil, answered(ctx, status.Error(codes.NotFound, "refused"))
		}, codes.NotFound, "refused"},
		"the worker gave up in time": {func(ctx context.Context) (*response, error) {
			return nil, answered(ctx, status.Error(codes.DeadlineExceeded, "not applied"))
		}, codes.DeadlineExceeded, "not applied"},
		"the worker is in doubt to the end": {func(ctx context.Context) (*response, error) {
			return nil, answered(ctx, status.Error(codes.Unavailable, "ask again"))
		}, codes.Unavailable, ""}, // its own word, or the door's where its last try was cut short
		"it hangs beyond the deadline": {func(ctx context.Context) (*response, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, codes.Unavailable, "safe to repeat it"},
		"gRPC's deadline": {func(context.Context) (*response, error) {
			return nil, status.Error(codes.DeadlineExceeded, "not a worker's")
		}, codes.Unavailable, "safe to repeat it"},
		"a handler that panicked": {func(context.Context) (*response, error) {
			return nil, status.Error(codes.Internal, "not a worker's")
		}, codes.Unavailable, "safe to repeat it"},
		"too many books": {func(context.Context) (*response, error) {
			return &response{}, nil
		}, codes.Unavailable, "0 books"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, echo)
			l, s := listen(t), grpc.NewServer()
			angzarr.RegisterPeersServer(s, &stranger{handle: tc.handle})
			go s.Serve(l)
			t.Cleanup(s.Stop)
			worker, _ := w.worker(partitioning.NewIdentity(l.Addr().String()))
			w.owns(worker)
			ctx := w.within(600 * time.Millisecond)
			_, err := w.door(strangers()).Handle(ctx, w.command(uuid.New(), "id", "x"))
			if ctx.Err() != nil {
				t.Error("the answer came too late to be heard")
			}
			if st := wantCode(t, err, tc.code); !strings.Contains(st.Message(), tc.says) {
				t.Errorf("%q does not say %q", st.Message(), tc.says)
			}
		})
	}
}

// A peer dies with a command, before or after it committed: the command is there
// once, and its caller learns nothing of it all.
func TestPeerDiesWithTheCommand(t *testing.T) {
	t.Parallel()
	for _, committed := range []bool{false, true} {
		t.Run(map[bool]string{false: "before", true: "after"}[committed]+" the commit", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, echo)
			l, s, died := listen(t), grpc.NewServer(), &stranger{}
			worker, _ := w.worker(partitioning.NewIdentity(l.Addr().String()))
			w.owns(worker)
			root := uuid.New()
			died.handle = func(context.Context) (*angzarr.SynchronousProcessingResponse, error) {
				if committed {
					if _, err := worker.Handle(t.Context(), w.command(root, "id", "x"), ""); err != nil {
						t.Error(err)
					}
				}
				go s.Stop()
				select {}
			}
			angzarr.RegisterPeersServer(s, died)
			go s.Serve(l)
			response, err := w.door(strangers()).Handle(w.within(20*time.Second), w.command(root, "id", "x"))
			if err != nil || said(response) != "1:x " || died.calls.Load() != 1 {
				t.Errorf("answered %v, %v after %d calls", response, err, died.calls.Load())
			}
			if got := w.pages(root); got != "1:x " {
				t.Errorf("the log holds %s", got)
			}
		})
	}
}

// A peer hangs with a command, having committed it or not, and somebody else gets
// what it owned. The caller learns nothing of it.
func TestPeerHangsWithTheCommand(t *testing.T) {
	t.Parallel()
	for _, committed := range []bool{false, true} {
		t.Run(map[bool]string{false: "before", true: "after"}[committed]+" the commit", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, echo)
			l, s, hung := listen(t), grpc.NewServer(), &stranger{}
			worker, stop := w.worker(partitioning.NewIdentity(l.Addr().String()))
			w.owns(worker)
			root := uuid.New()
			hung.handle = func(ctx context.Context) (*angzarr.SynchronousProcessingResponse, error) {
				if committed {
					if _, err := worker.Handle(t.Context(), w.command(root, "id", "x"), ""); err != nil {
						t.Error(err)
					}
				}
				w.process("127.0.0.1:0", insecure.NewCredentials())
				stop()
				<-ctx.Done()
				return nil, ctx.Err()
			}
			angzarr.RegisterPeersServer(s, hung)
			go s.Serve(l)
			t.Cleanup(s.Stop)
			response, err := w.door(strangers()).Handle(w.within(20*time.Second), w.command(root, "id", "x"))
			if err != nil || said(response) != "1:x " || hung.calls.Load() != 1 {
				t.Errorf("answered %v, %v after %d calls", response, err, hung.calls.Load())
			}
			if got := w.pages(root); got != "1:x " {
				t.Errorf("the log holds %s", got)
			}
		})
	}
}

// A peer that takes its time is waited for while it is the owner.
func TestSlowPeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	l, s, slow := listen(t), grpc.NewServer(), &stranger{}
	worker, _ := w.worker(partitioning.NewIdentity(l.Addr().String()))
	w.owns(worker)
	slow.handle = func(ctx context.Context) (*angzarr.SynchronousProcessingResponse, error) {
		select {
		case <-time.After(5 * askAfter):
			return &angzarr.SynchronousProcessingResponse{Books: []*angzarr.EventBook{{CommandId: "late"}}}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	angzarr.RegisterPeersServer(s, slow)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	response, err := w.door(strangers()).Handle(w.within(20*time.Second), w.command(uuid.New(), "", "x"))
	if err != nil || response.Books[0].CommandId != "late" || slow.calls.Load() != 1 {
		t.Errorf("answered %v, %v after %d calls", response, err, slow.calls.Load())
	}
}

// Who was the owner says so, and the new one is found. A process that comes back
// at an address is known by what it answers.
func TestOwnerMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	logtest.Tell(t, w.broker.Cluster, log.EventsTopic(w.domain.Name), log.CommandsTopic(w.domain.Name))
	first := w.process("127.0.0.1:0", insecure.NewCredentials())
	w.owns(first.worker)
	door := w.door(strangers())
	root := uuid.New()
	handle := func(id, want string) {
		t.Helper()
		response, err := door.Handle(w.within(20*time.Second), w.command(root, id, id))
		if err != nil || said(response) != want {
			t.Errorf("%s: answered %v, %v", id, response, err)
		}
	}
	handle("a", "1:a ")

	second := w.process("127.0.0.1:0", insecure.NewCredentials())
	first.stop() // its door still answers, that it isn't the owner
	handle("b", "2:b ")
	w.owns(second.worker)

	first.server.Stop()
	back := w.process(first.address, insecure.NewCredentials())
	second.server.Stop()
	second.stop()
	handle("c", "3:c ")
	w.owns(back.worker)
	w.until("calls go straight to the new owner", func() bool {
		before := len(logtest.ReadCommitted(t, w.broker.Cluster, log.CommandsTopic(w.domain.Name)))
		handle("a", "1:a ")
		return len(logtest.ReadCommitted(t, w.broker.Cluster, log.CommandsTopic(w.domain.Name))) == before
	})
}

// A process that restarts at its address finds its predecessor in the group.
func TestPredecessorAtMyAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	worker, _ := w.worker(partitioning.NewIdentity("127.0.0.1:7"))
	w.owns(worker)
	me := NewPeers("127.0.0.1:7", []string{"another incarnation"}, nil, insecure.NewCredentials())
	response, err := w.door(me).Handle(w.within(10*time.Second), w.command(uuid.New(), "", "x"))
	if err != nil || said(response) != "1:x " || len(me.links) != 0 {
		t.Errorf("answered %v, %v with %d links", response, err, len(me.links))
	}
}

// With nobody in the group nothing is written anywhere: the caller may be told
// for sure that its command is not applied. And who comes later takes it.
func TestNoOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	door := w.door(strangers())
	_, err := door.Handle(w.within(500*time.Millisecond), w.command(uuid.New(), "", "x"))
	wantCode(t, err, codes.DeadlineExceeded)
	if commands := logtest.ReadCommitted(t, w.broker.Cluster, log.CommandsTopic(w.domain.Name)); len(commands) > 0 {
		t.Errorf("%d commands were written", len(commands))
	}

	done := w.call(w.within(20*time.Second), door, w.command(uuid.New(), "", "x"))
	w.process("127.0.0.1:0", insecure.NewCredentials())
	if got := <-done; got.err != nil {
		t.Error(got.err)
	}
}

// An owner that has no address, as its peers are off, is reached by the topic.
func TestOwnerWithoutAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	worker, _ := w.worker(partitioning.NewIdentity(""))
	w.owns(worker)
	response, err := w.door(strangers()).Handle(w.within(10*time.Second), w.command(uuid.New(), "", "x"))
	if err != nil || said(response) != "1:x " {
		t.Errorf("answered %v, %v", response, err)
	}
}

// Links to addresses that are gone are given up, those in use are not.
func TestLinksArePruned(t *testing.T) {
	p := strangers()
	busy, err := p.acquire("127.0.0.1:2")
	if err != nil {
		t.Fatal(err)
	}
	idle, err := p.acquire("127.0.0.1:3")
	if err != nil {
		t.Fatal(err)
	}
	p.release(idle)
	busy.used, idle.used = time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)
	if _, err := p.acquire("127.0.0.1:4"); err != nil {
		t.Fatal(err)
	}
	if len(p.links) != 2 || p.links["127.0.0.1:3"] != nil {
		t.Errorf("%d links are left", len(p.links))
	}
	p.Close()
	if _, err := p.acquire("127.0.0.1:2"); err == nil {
		t.Error("a link was made after the end")
	}
	p.release(busy)
}

// Who keeps silent is not waited for until gRPC gives up.
func TestReachIsBounded(t *testing.T) {
	t.Parallel()
	l, err := newLink(listen(t).Addr().String(), insecure.NewCredentials())
	if err != nil {
		t.Fatal(err)
	}
	defer l.conn.Close()
	if err := l.reach(t.Context()); err == nil || l.conn.GetState() != connectivity.Connecting {
		t.Errorf("the connection is %v: %v", l.conn.GetState(), err)
	}
}

// The reader of replies serves all callers: none may hold it up.
func TestWaiterNeverBlocks(t *testing.T) {
	var all waiting
	w := all.begin()
	for n := range 100 {
		w.take(reply{n, &angzarr.Outcome{}})
	}
	all.end(w)
	if found, _ := all.find(string(w.tag(1))); found != nil {
		t.Error("who has gone is still found")
	}
}
