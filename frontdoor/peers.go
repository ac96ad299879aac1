package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Peers are the other processes of the deployment, and this one's side of them:
// it serves the Peers service.
type Peers struct {
	angzarr.UnimplementedPeersServer
	address      string
	incarnations []string
	workers      map[string]*business.Worker
	credentials  credentials.TransportCredentials

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

// NewPeers makes the peers of a process that others reach at address.
func NewPeers(address string, incarnations []string, workers map[string]*business.Worker, creds credentials.TransportCredentials) *Peers {
	return &Peers{
		address: address, incarnations: incarnations, workers: workers, credentials: creds,
		conns: make(map[string]*grpc.ClientConn),
	}
}

// Close closes the connections to others.
func (p *Peers) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
	clear(p.conns)
}

// Mine says that the owner is a worker of this very process.
func (p *Peers) Mine(owner partitioning.Identity) bool { return owner.Address == p.address }

// Handle decides a command that another process was asked for. It goes no
// further than to a worker of this process.
func (p *Peers) Handle(ctx context.Context, book *angzarr.CommandBook) (*angzarr.SynchronousProcessingResponse, error) {
	if st := business.CheckCommands(book); st != nil {
		return nil, st.Err()
	}
	return p.serve(ctx, &parcel{commands: book, cover: book.Cover})
}

// Record commits pages that another process was given; else as Handle.
func (p *Peers) Record(ctx context.Context, book *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	if st := business.CheckEvents(book); st != nil {
		return nil, st.Err()
	}
	return p.serve(ctx, &parcel{events: book, cover: book.Cover})
}

func (p *Peers) serve(ctx context.Context, in *parcel) (*angzarr.SynchronousProcessingResponse, error) {
	in.traceparent = traceparentOf(ctx)
	w := p.workers[in.cover.Domain]
	if w == nil {
		return nil, notOwner(in.cover.Domain)
	}
	book, err := in.decide(ctx, w)
	if errors.Is(err, business.ErrNotOwner) {
		return nil, notOwner(in.cover.Domain)
	}
	if err != nil {
		return nil, err
	}
	return &angzarr.SynchronousProcessingResponse{Books: []*angzarr.EventBook{book}}, nil
}

// Greet tells who is here, until the caller hangs up.
func (p *Peers) Greet(_ *angzarr.GreetRequest, stream grpc.ServerStreamingServer[angzarr.GreetResponse]) error {
	if err := stream.Send(&angzarr.GreetResponse{Incarnations: p.incarnations}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func notOwner(domain string) error {
	st, err := status.New(codes.Unavailable, "this process does not own the root's partition of "+domain).
		WithDetails(&errdetails.ErrorInfo{Domain: "angzarr", Reason: business.ReasonNotOwner})
	if err != nil {
		panic("frontdoor: " + err.Error())
	}
	return st.Err()
}

// hand hands the parcel over to the process at an address.
func (p *Peers) hand(ctx context.Context, address string, out *parcel, try *attempt) (*angzarr.EventBook, error) {
	conn, err := p.conn(address)
	if err != nil {
		try.again, try.fresh = true, true
		return nil, err
	}
	if out.traceparent != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, log.HeaderTraceparent, out.traceparent)
	}
	client := angzarr.NewPeersClient(conn)
	var answer *angzarr.SynchronousProcessingResponse
	if out.commands != nil {
		answer, err = client.Handle(ctx, out.commands)
	} else {
		answer, err = client.Record(ctx, out.events)
	}
	if err == nil && len(answer.Books) != 1 {
		err = status.Errorf(codes.Internal, "the peer at %s answered %d books instead of one", address, len(answer.Books))
	}
	if err != nil {
		judge(status.Convert(err), try)
		return nil, err
	}
	return answer.Books[0], nil
}

// judge says what a peer's error means for another try.
func judge(st *status.Status, try *attempt) {
	switch {
	case hasReason(st, business.ReasonNotOwner):
		try.again, try.fresh = true, true
	case st.Code() == codes.Unavailable:
		// The connection broke, or the peer stopped: it may have committed.
		try.again, try.fresh, try.doubt = true, true, true
	case st.Code() == codes.DeadlineExceeded, st.Code() == codes.Canceled:
		try.doubt = true
	}
}

func hasReason(st *status.Status, reason string) bool {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Reason == reason {
			return true
		}
	}
	return false
}

// away says that the last word about an address is that nobody is there.
func (p *Peers) away(address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	conn := p.conns[address]
	return conn != nil && conn.GetState() == connectivity.TransientFailure
}

func (p *Peers) conn(address string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn := p.conns[address]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(p.credentials),
		grpc.WithConnectParams(grpc.ConnectParams{
			// A peer that restarts is back soon; the default waits up to 120 s.
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}))
	if err != nil {
		return nil, fmt.Errorf("reach the peer at %s: %w", address, err)
	}
	p.conns[address] = conn
	return conn, nil
}
