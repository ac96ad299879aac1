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
	"slices"
	"strings"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// chunk is how many bytes of pages go into one answer, about.
const chunk = 256 << 10

// Domains gives a domain's number of partitions, 0 if there is no such domain,
// and then the names of those there are.
type Domains interface {
	Partitions(ctx context.Context, domain string) (int32, []string, error)
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

// GetEvents streams a root's pages between the bounds, oldest first.
func (s *Service) GetEvents(q *angzarr.Query, stream grpc.ServerStreamingServer[angzarr.EventBook]) error {
	ctx := stream.Context()
	root, partitions, st := s.check(ctx, q)
	if st != nil {
		return st.Err()
	}
	topic, partition := log.EventsTopic(q.Domain), partitioning.Of(root, partitions)
	ends, err := s.admin.HighWatermarks(ctx, topic)
	if err != nil {
		return status.Errorf(codes.Unavailable, "%v", err)
	}
	book := &angzarr.EventBook{Cover: &angzarr.Cover{Domain: q.Domain, Root: q.Root}}
	size := 0
	flush := func() error {
		if len(book.Pages) == 0 {
			return nil
		}
		err := stream.Send(book)
		book, size = &angzarr.EventBook{Cover: book.Cover}, 0
		return err
	}
	err = s.cluster.Scan(ctx, topic, map[int32]log.Span{partition: {To: ends[partition]}}, func(r *log.Record) error {
		of, sequence, kind := log.ParseKey(r.Key)
		if kind != log.KeyPage || of != root || r.Value == nil || sequence < q.LowerBound {
			return nil
		}
		if q.UpperBound > 0 && sequence > q.UpperBound {
			return log.ErrStop
		}
		p, err := log.DecodePage(r)
		if err != nil {
			return err
		}
		page := p.Proto()
		book.Pages = append(book.Pages, page)
		if size += proto.Size(page); size >= chunk {
			return flush()
		}
		return nil
	})
	if err != nil {
		if ctx.Err() != nil {
			return status.FromContextError(ctx.Err()).Err()
		}
		return status.Errorf(codes.Unavailable, "%v", err)
	}
	return flush()
}

// check says what is wrong with a query, naming the field.
func (s *Service) check(ctx context.Context, q *angzarr.Query) (log.Root, int32, *status.Status) {
	root, err := log.RootOf(q.GetRoot().GetValue())
	switch {
	case q.Domain == "":
		return root, 0, status.New(codes.InvalidArgument, "domain: is missing")
	case err != nil:
		return root, 0, status.Newf(codes.InvalidArgument, "root: %v", err)
	case q.UpperBound > 0 && q.LowerBound > q.UpperBound:
		return root, 0, status.Newf(codes.InvalidArgument, "lowerBound: %d is above upperBound %d", q.LowerBound, q.UpperBound)
	case q.OpenBook, q.AsOfSequence > 0, q.AsOfTime != nil, len(q.Position) > 0:
		return root, 0, status.New(codes.Unimplemented, "open_book, as_of_sequence, as_of_time and position are not served yet; use lowerBound and upperBound")
	}
	partitions, known, err := s.domains.Partitions(ctx, q.Domain)
	if err != nil {
		return root, 0, status.Newf(codes.Unavailable, "the cluster's domains can't be listed: %v", err)
	}
	if partitions == 0 {
		slices.Sort(known)
		return root, 0, status.Newf(codes.NotFound, "domain: there is no domain %q; there are: %s", q.Domain, strings.Join(known, ", "))
	}
	return root, partitions, nil
}
