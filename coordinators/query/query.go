// Package query answers questions about what was committed.
//
//	GetEvents ────► high watermark of the root's partition
//	                    │
//	                    ▼          the shelf knows where the root's pages are,
//	                pages up to    or has them, up to its mark: what is behind
//	                it, in chunks  it, and all if it can't tell, is read from
//	                               the partition
//
//	Synchronize ──► catch up: the log up to its end ──► queue at the domain's tail,
//	                    ▲                               which is read once for all
//	                    └────────── who is behind ◄──┘
//
// A book of the past is the latest snapshot that was there and the pages after it,
// as long as compaction has left that snapshot: it keeps the last one. Else it is
// all pages. The shelf knows where these stand, too.
//
// Invariants:
//   - What any caller was told is committed before the question, from any process,
//     is in the answer: the high watermark is captured after it.
//   - Only what is committed is answered.
//   - No page of an erased aggregate is answered: pages that compaction has not
//     taken yet stand before the word that they were erased, so that nothing is
//     sent before the log was read to its end. A subscriber gets them, and then
//     the word.
//   - A subscriber gets each page once, in the order of its partition: it joins the
//     tail at an exact offset, up to which it has read the log itself.
//   - The tail waits for nobody. Who doesn't keep up reads the log.
//   - What was delivered and is lost by the brokers ends a subscription: before
//     anything is delivered that was read under a later leader, the log is found to
//     be what it was.
package query

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Domains knows the domains of the cluster.
type Domains interface {
	// Find gives a domain's number of partitions, or a status that names the
	// query's field and the domains there are.
	Find(ctx context.Context, field, domain string) (int32, *status.Status)
	// All gives the names of all domains, in order.
	All(ctx context.Context) ([]string, error)
	// Forget has a domain looked for again, whose topics can't be read.
	Forget(domain string)
}

// Config is what the service needs.
type Config struct {
	Cluster log.Cluster
	Admin   *log.Admin
	Domains Domains
	Shelf   *snapshots.Shelf // nil where there is none
	Metrics *Metrics
	Logger  *slog.Logger
}

// readers bounds how many subscribers of a process read the log at the same time.
const readers = 4

// Service is EventQuery. It reads the partition of the root that is asked for.
type Service struct {
	angzarr.UnimplementedEventQueryServer
	cluster log.Cluster
	admin   *log.Admin
	domains Domains
	metrics *Metrics
	log     *slog.Logger
	shelf   *snapshots.Shelf // nil where there is none
	ends    *ends
	origins *origins
	erased  erasures

	tails    *tails
	readers  chan struct{}
	stop     sync.Once
	stopping chan struct{}
	patience time.Duration
}

// New makes the service.
func New(c Config) *Service {
	return &Service{
		cluster: c.Cluster, admin: c.Admin, domains: c.Domains, metrics: c.Metrics, log: c.Logger, shelf: c.Shelf,
		ends: newEnds(c.Admin), origins: &origins{admin: c.Admin, known: make(map[string]origin)},
		tails:   &tails{cluster: c.Cluster, admin: c.Admin, of: make(map[string]*tail)},
		readers: make(chan struct{}, readers), stopping: make(chan struct{}), patience: patience,
	}
}

// Stop ends subscriptions, which would else go on for ever. They can be resumed at
// another process.
func (s *Service) Stop() { s.stop.Do(func() { close(s.stopping) }) }

// GetEvents streams a root's pages between the bounds, oldest first, or its book
// as business logic gets it, or as it was. A root that was never written has none.
func (s *Service) GetEvents(q *angzarr.Query, stream grpc.ServerStreamingServer[angzarr.EventBook]) error {
	ctx := stream.Context()
	root, st := check(q)
	if st != nil {
		return st.Err()
	}
	partitions, st := s.domains.Find(ctx, "domain", q.Domain)
	if st != nil {
		return st.Err()
	}
	partition := partitioning.Of(root, partitions)
	end, st := s.end(ctx, q.Domain, partition)
	if st != nil {
		return st.Err()
	}
	out := &chunks{send: stream.Send, cover: &angzarr.Cover{Domain: q.Domain, Root: q.Root}}
	of := aggregate{q.Domain, root, partition}
	var err error
	if m, ok := momentOf(q); ok {
		err = s.sendPast(ctx, of, m, end, out)
	} else {
		err = s.pages(ctx, of, bounds{first: max(1, q.LowerBound), last: q.UpperBound}, end, out.take)
	}
	if err == nil {
		err = out.flush()
	}
	return statusOf(ctx, err)
}

func decode(r *log.Record) (log.Page, error) {
	p, err := log.DecodePage(r)
	if err != nil {
		return log.Page{}, unreadable(r, err)
	}
	return p, nil
}

func unreadable(r *log.Record, err error) error {
	return status.Errorf(codes.DataLoss, "offset %d of %s/%d: %v", r.Offset, r.Topic, r.Partition, err)
}

// end is where the partition ends now, with all that was committed before.
func (s *Service) end(ctx context.Context, domain string, partition int32) (int64, *status.Status) {
	ends, err := s.ends.get(ctx, domain)
	end, ok := ends[partition]
	switch {
	case err == nil && ok:
		return end, nil
	case ctx.Err() != nil:
		return 0, status.FromContextError(ctx.Err())
	case err == nil:
		err = errors.New("the brokers don't say where it ends")
	}
	// Perhaps somebody has deleted it.
	s.domains.Forget(domain)
	if _, st := s.domains.Find(ctx, "domain", domain); st != nil {
		return 0, st
	}
	return 0, status.Newf(codes.Unavailable, "%s/%d can't be read: %v", log.EventsTopic(domain), partition, err)
}

// check says what is wrong with a query, naming the field.
func check(q *angzarr.Query) (log.Root, *status.Status) {
	root, err := log.RootOf(q.GetRoot().GetValue())
	switch {
	case q.Domain == "":
		return root, status.New(codes.InvalidArgument, "domain: is missing")
	case q.Root == nil:
		return root, status.New(codes.InvalidArgument, "root: is missing: a UUID of 16 bytes")
	case err != nil:
		return root, status.Newf(codes.InvalidArgument, "root: %v", err)
	case q.UpperBound > 0 && q.LowerBound > q.UpperBound:
		return root, status.Newf(codes.InvalidArgument, "lowerBound: %d is above upperBound %d", q.LowerBound, q.UpperBound)
	case len(q.Position) > 0:
		return root, status.New(codes.InvalidArgument, "position: is for Synchronize; use lowerBound")
	case q.FromEnd:
		return root, status.New(codes.InvalidArgument, "from_end: is for Synchronize; use lowerBound")
	}
	return root, checkMoment(q)
}

// checkMoment says what is wrong with a query about the past.
func checkMoment(q *angzarr.Query) *status.Status {
	switch {
	case q.AsOfTime == nil && q.AsOfSequence == 0:
		return nil
	case q.AsOfTime != nil && q.AsOfSequence > 0:
		return status.New(codes.InvalidArgument, "as_of_time: give it or as_of_sequence, not both")
	case q.LowerBound > 0 || q.UpperBound > 0:
		return status.New(codes.InvalidArgument, "as_of_sequence, as_of_time: a book of the past is asked for without lowerBound and upperBound")
	case q.AsOfTime != nil && !q.AsOfTime.IsValid():
		return status.New(codes.InvalidArgument, "as_of_time: is no valid time")
	case q.AsOfTime != nil && q.AsOfTime.AsTime().After(time.Now()):
		return status.Newf(codes.InvalidArgument, "as_of_time: %s is in the future", q.AsOfTime.AsTime().Format(time.RFC3339Nano))
	}
	return nil
}

// statusOf is what a query's caller hears of an error.
func statusOf(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Errorf(codes.Unavailable, "%v", err)
}
