package frontdoor

import (
	"context"
	"errors"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// trailerAnswered marks what a worker has said. Without it an error is gRPC's.
const trailerAnswered = "angzarr-answered"

// Handle decides a command that another process was asked for. It goes no
// further than to a worker of this process.
func (p *Peers) Handle(ctx context.Context, book *angzarr.CommandBook) (*angzarr.SynchronousProcessingResponse, error) {
	if st := business.CheckCommands(book); st != nil {
		return nil, answered(ctx, st.Err())
	}
	return p.serve(ctx, &parcel{commands: book, cover: book.Cover})
}

// Record commits pages that another process was given; else as Handle.
func (p *Peers) Record(ctx context.Context, book *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	if st := business.CheckEvents(book); st != nil {
		return nil, answered(ctx, st.Err())
	}
	return p.serve(ctx, &parcel{events: book, cover: book.Cover})
}

// Erase erases an aggregate that another process was asked to; else as Handle.
func (p *Peers) Erase(ctx context.Context, r *angzarr.EraseRequest) (*angzarr.SynchronousProcessingResponse, error) {
	if st := business.CheckErase(r); st != nil {
		return nil, answered(ctx, st.Err())
	}
	return p.serve(ctx, &parcel{erase: r, cover: r.Cover})
}

func (p *Peers) serve(ctx context.Context, in *parcel) (*angzarr.SynchronousProcessingResponse, error) {
	in.traceparent, in.answerTo = traceparentOf(ctx), answerToOf(ctx)
	w := p.workers[in.cover.Domain]
	if w == nil {
		return nil, answered(ctx, notOwner(in.cover.Domain))
	}
	deciding, cancel := answerInTime(ctx)
	defer cancel()
	book, err := in.decide(deciding, w)
	switch {
	case errors.Is(err, business.ErrNotOwner):
		return nil, answered(ctx, notOwner(in.cover.Domain))
	case err != nil:
		return nil, answered(ctx, err)
	}
	return responseOf(book), nil
}

// answerToOf is who waits at the peer for what the command leads to.
func answerToOf(ctx context.Context) string {
	in, _ := metadata.FromIncomingContext(ctx)
	if to := in.Get(log.HeaderAnswerTo); len(to) > 0 {
		if _, ok := log.ParseAnswerTo(to[0]); ok {
			return to[0]
		}
	}
	return ""
}

// answered marks an error as a worker's own.
func answered(ctx context.Context, err error) error {
	// It fails only outside of a call; then nobody reads it.
	_ = grpc.SetTrailer(ctx, metadata.Pairs(trailerAnswered, "true"))
	return err
}

// Greet tells who is here, until the caller hangs up or the process stops.
func (p *Peers) Greet(_ *angzarr.GreetRequest, stream grpc.ServerStreamingServer[angzarr.GreetResponse]) error {
	if err := stream.Send(&angzarr.GreetResponse{Incarnations: p.incarnations}); err != nil {
		return err
	}
	select {
	case <-stream.Context().Done():
	case <-p.leaving:
	}
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
