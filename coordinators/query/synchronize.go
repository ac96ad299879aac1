package query

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// patience is how long a subscriber may take nothing of what is there for it.
	patience = 30 * time.Second
	// mostQueries bounds those of one stream.
	mostQueries = 1000
)

// Synchronize streams what was committed and then what is being committed, until
// the caller ends it. A query is answered by a book without pages which says where
// it begins, then by the log's pages in order, each once, then by a book that is
// marked caught_up, then by pages as they are committed.
//
// A query takes the place of those on the stream that it includes. One that is
// included in another is refused: its pages come already.
func (s *Service) Synchronize(stream grpc.BidiStreamingServer[angzarr.Query, angzarr.EventBook]) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	s.metrics.subscribers(1)
	defer s.metrics.subscribers(-1)
	out := &outlet{stream: stream, turn: make(chan struct{}, 1)}
	defer out.close()
	asked := make(chan *angzarr.Query)
	go receive(ctx, cancel, stream, asked)
	watch := time.NewTicker(s.patience / 6)
	defer watch.Stop()
	var subs []*subscription
	for {
		select {
		case q, ok := <-asked:
			switch {
			case !ok && len(subs) == 0:
				return nil
			case !ok:
				asked = nil // no more queries, but pages
				continue
			}
			var err error
			if subs, err = s.subscribe(ctx, cancel, out, subs, q); err != nil {
				return statusOf(ctx, err)
			}
		case <-watch.C:
			if out.stalled() > s.patience {
				return status.Errorf(codes.ResourceExhausted, "nothing was taken for %v of what is there; resume by the position of the last book", s.patience)
			}
		case <-s.stopping:
			return status.Error(codes.Unavailable, "this process stops; resume by the position of the last book")
		case <-ctx.Done():
			return statusOf(stream.Context(), context.Cause(ctx))
		}
	}
}

// receive gives the queries of a stream, until it breaks or there are no more.
func receive(ctx context.Context, cancel context.CancelCauseFunc, stream grpc.BidiStreamingServer[angzarr.Query, angzarr.EventBook], asked chan<- *angzarr.Query) {
	for {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			close(asked)
			return
		}
		if err != nil {
			cancel(err)
			return
		}
		select {
		case asked <- q:
		case <-ctx.Done():
			return
		}
	}
}

// subscribe adds a query to those of a stream.
func (s *Service) subscribe(ctx context.Context, cancel context.CancelCauseFunc, out *outlet, subs []*subscription, q *angzarr.Query) ([]*subscription, error) {
	root, from, err := checkSubscription(q)
	if err != nil {
		return subs, err
	}
	added := &subscription{service: s, out: out, query: q, root: root}
	kept := make([]*subscription, 0, len(subs)+1)
	for _, old := range subs {
		switch {
		case added.includes(old.query, old.root):
			old.cancel()
		case old.includes(q, root):
			return subs, overlap(old, q)
		default:
			kept = append(kept, old)
		}
	}
	if len(kept) == mostQueries {
		return subs, status.Errorf(codes.ResourceExhausted, "a stream takes up to %d queries; open another one, or ask for the whole domain", mostQueries)
	}
	var own context.Context
	own, added.cancel = context.WithCancel(ctx)
	run, err := added.start(own, from)
	if err != nil {
		added.cancel()
		return subs, err
	}
	go func() {
		if err := run(); own.Err() == nil {
			cancel(err)
		}
	}()
	return append(kept, added), nil
}

func overlap(old *subscription, q *angzarr.Query) error {
	if old.query.Domain == "" {
		return status.Error(codes.InvalidArgument, "domain: this stream follows all of them already; open another one to follow less")
	}
	return status.Errorf(codes.InvalidArgument, "root: this stream follows all of domain %q already; open another one to follow less", q.Domain)
}

// outlet is where the feeds of a stream send, one at a time.
type outlet struct {
	stream grpc.BidiStreamingServer[angzarr.Query, angzarr.EventBook]
	turn   chan struct{} // holds one while somebody sends
	since  atomic.Int64  // when that began, 0 if nobody does
}

// do runs f when it is its turn, unless ctx has ended.
func (o *outlet) do(ctx context.Context, f func() error) error {
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-o.turn }()
	if err := ctx.Err(); err != nil {
		return err
	}
	return f()
}

// send is called by who has the turn.
func (o *outlet) send(book *angzarr.EventBook) error {
	o.since.Store(time.Now().UnixNano())
	defer o.since.Store(0)
	return o.stream.Send(book)
}

// stalled is how long the caller has not taken what is being sent.
func (o *outlet) stalled() time.Duration {
	if since := o.since.Load(); since > 0 {
		return time.Duration(time.Now().UnixNano() - since)
	}
	return 0
}

// close lets nobody send any more. Who is sending now, to a caller that takes
// nothing, ends when the call does.
func (o *outlet) close() {
	late := time.NewTimer(time.Second)
	defer late.Stop()
	select {
	case o.turn <- struct{}{}:
	case <-late.C:
	}
}
