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
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
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
	leaving      chan struct{} // closed by Farewell
	farewell     func()

	mu    sync.Mutex
	links map[string]*link
}

// NewPeers makes the peers of a process that others reach at address, and whose
// workers have these incarnations.
func NewPeers(address string, incarnations []string, workers map[string]*business.Worker, creds credentials.TransportCredentials) *Peers {
	leaving := make(chan struct{})
	return &Peers{
		address: address, incarnations: incarnations, workers: workers, credentials: creds,
		leaving: leaving, farewell: sync.OnceFunc(func() { close(leaving) }),
		links: make(map[string]*link),
	}
}

// Farewell hangs up on all who hold a connection because they greeted: this
// process is no member of any group any more.
func (p *Peers) Farewell() { p.farewell() }

// mine says that the owner is a worker of this very process, not of one that had
// its address before.
func (p *Peers) mine(owner partitioning.Identity) bool {
	for _, mine := range p.incarnations {
		if owner.Incarnation == mine {
			return true
		}
	}
	return false
}

// hand hands the parcel over to the process at an address. errNoPeer says that
// nobody is there, and nothing was sent.
func (p *Peers) hand(ctx context.Context, address string, out *parcel) (*angzarr.EventBook, error) {
	if address == p.address {
		return nil, fmt.Errorf("%w: the owner had the address that this process has now", errNoPeer)
	}
	l, err := p.acquire(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoPeer, err)
	}
	defer p.release(l)
	if err := l.reach(ctx); err != nil {
		p.lose(l)
		return nil, fmt.Errorf("%w: %w", errNoPeer, err)
	}
	if out.traceparent != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, log.HeaderTraceparent, out.traceparent)
	}
	if out.answerTo != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, log.HeaderAnswerTo, out.answerTo)
	}
	var trailer metadata.MD
	answer, err := out.call(ctx, angzarr.NewPeersClient(l.conn), grpc.Trailer(&trailer))
	switch {
	case err == nil && len(answer.Books) == 1:
		return answer.Books[0], nil
	case err == nil:
		err = status.Errorf(codes.Internal, "the peer at %s answered %d books instead of one", address, len(answer.Books))
	}
	return nil, out.judge(err, len(trailer.Get(trailerAnswered)) > 0)
}

// call calls the peer.
func (p *parcel) call(ctx context.Context, client angzarr.PeersClient, opts ...grpc.CallOption) (*angzarr.SynchronousProcessingResponse, error) {
	switch {
	case p.erase != nil:
		return client.Erase(ctx, p.erase, opts...)
	case p.commands != nil:
		return client.Handle(ctx, p.commands, opts...)
	}
	return client.Record(ctx, p.events, opts...)
}

// judge says what a peer's error means. answered tells a worker's own words from
// those of gRPC, whose DEADLINE_EXCEEDED says nothing of the command.
func (p *parcel) judge(err error, answered bool) error {
	st := status.Convert(err)
	switch {
	case answered && hasReason(st, business.ReasonNotOwner):
		p.stale = true
		return again{error: err}
	case answered:
		return p.heard(err)
	}
	// The connection broke, or the peer stopped: it may have committed.
	p.stale, p.doubt = true, true
	switch st.Code() {
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		return again{error: err}
	}
	return p.inDoubt(err)
}

const (
	// answerBytes is above any limits.answer that would be of use: the limit is
	// the worker's to name, before it commits.
	answerBytes = 64 << 20
	// reachTimeout bounds the wait for a connection: there is another way.
	reachTimeout = 300 * time.Millisecond
	// linkIdle is after how long without a call a connection is given up, once
	// others are made: addresses change with every rollout.
	linkIdle = 2 * time.Minute
	// lostFor is how long a peer that is out of reach is not tried again.
	lostFor = 300 * time.Millisecond
)

// acquire gives the link to an address, making it if need be; release must
// follow.
func (p *Peers) acquire(address string) (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links == nil {
		return nil, errors.New("this process stops")
	}
	l := p.links[address]
	if l == nil {
		p.prune()
		var err error
		if l, err = newLink(address, p.credentials); err != nil {
			return nil, err
		}
		p.links[address] = l
	}
	l.busy++
	l.used = time.Now()
	return l, nil
}

// lose remembers that a peer is out of reach, so that not every call has to find
// out, and to ask who the owner is now.
func (p *Peers) lose(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.lost = time.Now()
}

// lost says that a peer was out of reach a moment ago.
func (p *Peers) lost(address string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.links[address]
	return l != nil && time.Since(l.lost) < lostFor
}

func (p *Peers) release(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l.busy--
}

func (p *Peers) prune() {
	for address, l := range p.links {
		if l.busy == 0 && time.Since(l.used) > linkIdle {
			l.conn.Close()
			delete(p.links, address)
		}
	}
}

// Close closes the connections to others.
func (p *Peers) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		l.conn.Close()
	}
	p.links = nil
}
