package query

import (
	"maps"
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

// metadataDomain narrows GetAggregateRoots to one domain.
const metadataDomain = "angzarr-domain"

// GetAggregateRoots streams each root that had a page when its domain's turn
// came, once: a root's first page is in the log once. What is written meanwhile
// is left out, and so are roots that were erased.
func (s *Service) GetAggregateRoots(_ *emptypb.Empty, stream grpc.ServerStreamingServer[angzarr.AggregateRoot]) error {
	ctx := stream.Context()
	in, _ := metadata.FromIncomingContext(ctx)
	domains := in.Get(metadataDomain)
	if len(domains) > 1 {
		return status.Errorf(codes.InvalidArgument, "metadata %s: name one domain, or none for all", metadataDomain)
	}
	if len(domains) == 0 {
		all, err := s.domains.All(ctx)
		if err != nil {
			return statusOf(ctx, err)
		}
		domains = all
	} else if _, st := s.domains.Find(ctx, "metadata "+metadataDomain, domains[0]); st != nil {
		return st.Err()
	}
	for _, domain := range domains {
		if err := s.roots(stream, domain); err != nil {
			return statusOf(ctx, err)
		}
	}
	return nil
}

func (s *Service) roots(stream grpc.ServerStreamingServer[angzarr.AggregateRoot], domain string) error {
	topic := log.EventsTopic(domain)
	generation, err := s.admin.Generation(stream.Context(), topic)
	if err != nil {
		return err
	}
	ends, err := s.admin.HighWatermarks(stream.Context(), topic)
	if err != nil {
		return err
	}
	// One after another: their records would else come through each other, and
	// wait in memory for whoever is slow.
	for _, partition := range slices.Sorted(maps.Keys(ends)) {
		erased, err := s.erased.upTo(stream.Context(), s.cluster, stretch{topic, generation, partition}, ends[partition])
		if err != nil {
			return err
		}
		err = s.cluster.Scan(stream.Context(), topic, map[int32]log.Span{partition: {To: ends[partition]}}, func(r *log.Record) error {
			root, sequence, kind := log.ParseKey(r.Key)
			if kind != log.KeyPage || sequence != 1 || r.Value == nil || erased[root] {
				return nil
			}
			return stream.Send(&angzarr.AggregateRoot{Domain: domain, Root: &angzarr.UUID{Value: root[:]}})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
