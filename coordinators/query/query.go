// Package query answers questions about what was committed.
//
//	Query ──► high watermark of the root's partition ──► pages up to it, in chunks
//
// Invariants:
//   - What any caller was told is committed before the question, from any process,
//     is in the answer: the high watermark is captured after it.
//   - Only what is committed is answered.
package query

import (
	"context"
	"errors"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Domains knows the domains of the cluster.
type Domains interface {
	// Find gives a domain's number of partitions, or a status that names the
	// query's field and the domains there are.
	Find(ctx context.Context, field, domain string) (int32, *status.Status)
	// Forget has a domain looked for again, whose topics can't be read.
	Forget(domain string)
}

// Service is EventQuery. It reads the partition of the root that is asked for.
type Service struct {
	angzarr.UnimplementedEventQueryServer
	cluster log.Cluster
	admin   *log.Admin
	domains Domains
}

// New makes the service.
func New(cluster log.Cluster, admin *log.Admin, domains Domains) *Service {
	return &Service{cluster: cluster, admin: admin, domains: domains}
}

// GetEvents streams a root's pages between the bounds, oldest first. A root that
// was never written has none.
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
	err := s.cluster.Scan(ctx, log.EventsTopic(q.Domain), map[int32]log.Span{partition: {To: end}}, func(r *log.Record) error {
		return answer(q, root, r, out)
	})
	if err == nil {
		err = out.flush()
	}
	return statusOf(ctx, err)
}

// answer takes in a record of the root's partition.
func answer(q *angzarr.Query, root log.Root, r *log.Record, out *chunks) error {
	of, sequence, kind := log.ParseKey(r.Key)
	switch {
	case kind != log.KeyPage, of != root, r.Value == nil, sequence < q.LowerBound:
		return nil
	case q.UpperBound > 0 && sequence > q.UpperBound:
		return log.ErrStop
	}
	p, err := log.DecodePage(r)
	if err != nil {
		return status.Errorf(codes.DataLoss, "offset %d of %s/%d: %v", r.Offset, r.Topic, r.Partition, err)
	}
	if err := out.add(p.Proto()); err != nil {
		return err
	}
	if sequence == q.UpperBound {
		return log.ErrStop
	}
	return nil
}

// end is where the partition ends now, with all that was committed before.
func (s *Service) end(ctx context.Context, domain string, partition int32) (int64, *status.Status) {
	ends, err := s.admin.HighWatermarks(ctx, log.EventsTopic(domain))
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
	case q.OpenBook, q.AsOfSequence > 0, q.AsOfTime != nil, len(q.Position) > 0:
		return root, status.New(codes.Unimplemented, "open_book, as_of_sequence, as_of_time and position are not served yet; use lowerBound and upperBound")
	}
	return root, nil
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
