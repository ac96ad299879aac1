package sequel

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/coordinators/query"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Projectors is ProjectorCoordinator: it answers for books of committed pages, which
// the projector's own workers come to in the order of the log.
type Projectors struct {
	angzarr.UnimplementedProjectorCoordinatorServer
	*Gatherer
}

// Sagas is SagaCoordinator; else as Projectors.
type Sagas struct {
	angzarr.UnimplementedSagaCoordinatorServer
	*Gatherer
}

// Handle accepts a book: the projector comes to its pages, or has done so.
func (p Projectors) Handle(ctx context.Context, book *angzarr.EventBook) (*emptypb.Empty, error) {
	_, st := p.asked(ctx, log.KindProjector, book)
	return &emptypb.Empty{}, st.Err()
}

// HandleSync answers once the projector's worker has done with the book's pages: with
// the root's latest projection, which may be of later ones too.
func (p Projectors) HandleSync(ctx context.Context, book *angzarr.EventBook) (*angzarr.Projection, error) {
	of, st := p.asked(ctx, log.KindProjector, book)
	if st != nil {
		return nil, st.Err()
	}
	s, err := p.done(ctx, of, mostProjection)
	if err != nil {
		return nil, err
	}
	for _, found := range s.Projections {
		return found, nil
	}
	service, _ := log.ServiceOf(of.only)
	return &angzarr.Projection{Cover: of.cover(), Projector: service.Name, Sequence: of.last}, nil
}

// mostProjection is more than a topic takes.
const mostProjection = 64 << 20

// Handle accepts a book: the saga comes to its pages, or has done so.
func (s Sagas) Handle(ctx context.Context, book *angzarr.EventBook) (*emptypb.Empty, error) {
	_, st := s.asked(ctx, log.KindSaga, book)
	return &emptypb.Empty{}, st.Err()
}

// HandleSync answers once the saga's worker has done with the book's pages, and what
// its commands led to is done.
func (s Sagas) HandleSync(ctx context.Context, book *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	of, st := s.asked(ctx, log.KindSaga, book)
	if st != nil {
		return nil, st.Err()
	}
	found, err := s.done(ctx, of, s.c.Answer)
	if err != nil {
		return nil, err
	}
	return found.SynchronousProcessingResponse, nil
}

// done waits until a service has done with pages.
func (g *Gatherer) done(ctx context.Context, of stretch, room int) (sequel, error) {
	ctx, cancel := inTime(ctx)
	defer cancel()
	s, err := g.Untold().gather(ctx, of, room, 0)
	service, _ := log.ServiceOf(of.only)
	switch {
	case err != nil:
		return s, status.Errorf(codeOf(err), "pages %d to %d of %s/%s are in the log, and this would have had to wait longer, for %s",
			of.first, of.last, of.domain, of.root, s.waits())
	case s.gone:
		return s, status.Errorf(codes.FailedPrecondition, "%s has committed nothing for events of %s: it has not begun, or was off for so long that it is forgotten", service, of.domain)
	}
	for _, u := range s.Undone {
		if u.Service == service.String() && u.Reason == angzarr.Undone_REASON_DEAD_LETTER && slices.Equal(u.Cover.GetRoot().GetValue(), of.root[:]) {
			return s, refuse(ReasonDeadLetter, "%s could not do page %d of %s/%s, which is a dead letter: %s", service, u.FirstPage, of.domain, of.root, u.Message).Err()
		}
		if u.Reason == angzarr.Undone_REASON_ERASED && u.Service == service.String() {
			return s, refuse(business.ReasonErased, "%s/%s was erased, for good", of.domain, of.root).Err()
		}
	}
	return s, nil
}

// inTime ends a little before the caller's deadline, so that it hears what is known.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	at, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, at.Add(-min(60*time.Millisecond, max(0, time.Until(at)/10))))
}

// asked says for which pages a coordinator is asked, and of which service: they must
// be in the log.
func (g *Gatherer) asked(ctx context.Context, kind string, book *angzarr.EventBook) (of stretch, st *status.Status) {
	switch {
	case len(book.GetPages()) == 0:
		return of, status.New(codes.InvalidArgument, "pages: are missing: want committed ones")
	case book.Snapshot != nil:
		return of, status.New(codes.InvalidArgument, "snapshot: leave it out: want pages alone")
	}
	if st := business.CheckEvents(book); st != nil {
		return of, st
	}
	of.aggregate, _ = aggregateOf(book.Cover)
	if _, st := g.c.Domains.Find(ctx, "cover.domain", of.domain); st != nil {
		return of, st
	}
	reader, st := g.choose(ctx, kind, of.domain)
	if st != nil {
		return of, st
	}
	of.first, of.last = book.Pages[0].GetNum(), book.Pages[len(book.Pages)-1].GetNum()
	of.sagas, of.only = uint32(g.c.Sagas), reader.Group
	if of.first == 0 {
		return of, status.New(codes.InvalidArgument, "pages[0].num: is missing: pages of the log are numbered")
	}
	there, err := g.c.Pages.Locate(ctx, of.domain, of.root, of.first, of.last)
	if err != nil {
		return of, status.Convert(err)
	}
	if n, in := inLog(book, there); !in {
		return of, refuse(ReasonNotInLog, "pages[%d]: page %d of %s/%s is not in the log, or is another one there", n, book.Pages[n].GetNum(), of.domain, of.root)
	}
	of.at = there[0].Offset
	return of, nil
}

// inLog says whether all pages are there, or which one is the first that isn't.
func inLog(book *angzarr.EventBook, there []query.Place) (int, bool) {
	for i, p := range book.Pages {
		if i >= len(there) || there[i].Page.GetNum() != p.GetNum() || !proto.Equal(there[i].Page.Event, p.Event) ||
			p.CreatedAt != nil && !proto.Equal(there[i].Page.CreatedAt, p.CreatedAt) {
			return i, false
		}
	}
	return 0, true
}

func refuse(reason, format string, args ...any) *status.Status {
	return withDetails(status.Newf(codes.FailedPrecondition, format, args...), &errdetails.ErrorInfo{Domain: "angzarr", Reason: reason})
}

// choose says which projector or saga is meant: the one that is named, or the only
// one that reads the domain.
func (g *Gatherer) choose(ctx context.Context, kind, domain string) (Reader, *status.Status) {
	header := "angzarr-" + kind
	name := ""
	if in, ok := metadata.FromIncomingContext(ctx); ok {
		if given := in.Get(header); len(given) > 0 {
			name = given[0]
		}
	}
	var there []string
	var only Reader
	for _, r := range g.c.Readers.Of(domain) {
		switch {
		case r.Kind != kind:
		case r.Name == name:
			return r, nil
		default:
			there, only = append(there, r.Name), r
		}
	}
	names := strings.Join(there, ", ")
	switch {
	case len(there) == 0:
		return only, status.Newf(codes.NotFound, "no %s reads the events of %s", kind, domain)
	case name != "":
		return only, status.Newf(codes.NotFound, "%s: no %s named %q reads the events of %s; there are: %s", header, kind, start(name), domain, names)
	case len(there) > 1:
		return only, status.Newf(codes.InvalidArgument, "%s: %s; say in this metadata which one is meant: %s",
			header, fmt.Sprintf("%d %ss read the events of %s", len(there), kind, domain), names)
	}
	return only, nil
}
