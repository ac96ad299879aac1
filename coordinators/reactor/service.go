package reactor

import (
	"context"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Service is what reacts. Its methods may be called at the same time.
type Service interface {
	// Together is how many pages of a root may go into one call.
	Together() int
	// Wants says whether a page is for the service at all.
	Wants(*log.Page) bool
	// Call has the service react to a run of pages, and gives the records that
	// are to be committed with their offsets; or says why it did not react. Then
	// the same pages come again.
	Call(context.Context, Run) ([]log.Record, *Failure)
}

// Eraser is a service that has published what must go with an erased root.
type Eraser interface {
	// Erased gives the records to commit once the service has reacted to the pages
	// that came before the erasure. It may come more than once.
	Erased(log.Root) []log.Record
}

// Run is one root's pages, in order, without a gap that the log doesn't have.
type Run struct {
	Domain string
	Root   log.Root
	Pages  []log.Page
	// Replayed says that the one page was a dead letter: later ones may have been
	// called. What those led to is committed.
	Replayed bool
}

// Last is the number of the last page.
func (r Run) Last() uint32 { return r.Pages[len(r.Pages)-1].Sequence }

// Cover is the aggregate's.
func (r Run) Cover() *angzarr.Cover {
	return &angzarr.Cover{Domain: r.Domain, Root: &angzarr.UUID{Value: r.Root[:]}}
}

// Book is the run as a service gets it.
func (r Run) Book() *angzarr.EventBook {
	book := &angzarr.EventBook{
		Cover:         r.Cover(),
		Pages:         make([]*angzarr.EventPage, len(r.Pages)),
		CorrelationId: r.Pages[0].Cause.CorrelationID,
	}
	one := true
	for i := range r.Pages {
		book.Pages[i] = r.Pages[i].Proto()
		one = one && r.Pages[i].Cause.CommandID == r.Pages[0].Cause.CommandID
	}
	if one {
		book.CommandId = r.Pages[0].Cause.CommandID
	}
	return book
}

// Context carries the trace of the run's first page.
func (r Run) Context(ctx context.Context) context.Context {
	if trace := r.Pages[0].Cause.Traceparent; trace != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, log.HeaderTraceparent, trace)
	}
	return ctx
}

// Failure is why a service did not react.
type Failure struct {
	Status *status.Status
	Fate   Fate
}

// Fate is what becomes of pages to which a service did not react.
type Fate int

// The fates.
const (
	// Counts is for what may be the pages' fault: after some attempts they are
	// dead letters.
	Counts Fate = iota
	// Waits is for a service that is not there, or has too much to do: it is
	// called again for as long as it takes.
	Waits
	// Ends is for pages that no further attempt helps.
	Ends
)

// Refuse is a failure that counts.
func Refuse(code codes.Code, format string, args ...any) *Failure {
	return &Failure{status.Newf(code, format, args...), Counts}
}
