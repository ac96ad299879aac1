package query

import (
	"context"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Place is a committed page, and where in its partition it stands.
type Place struct {
	Offset int64
	Page   *angzarr.EventPage
}

// Locate gives a root's pages from first to last, as many as there are, in order.
// Its errors are what a query's caller gets.
func (s *Service) Locate(ctx context.Context, domain string, root log.Root, first, last uint32) (places []Place, err error) {
	partitions, st := s.domains.Find(ctx, "cover.domain", domain)
	if st != nil {
		return nil, st.Err()
	}
	of := aggregate{domain, root, partitioning.Of(root, partitions)}
	end, st := s.end(ctx, domain, of.partition)
	if st != nil {
		return nil, st.Err()
	}
	err = s.pages(ctx, of, bounds{first: first, last: last}, end, func(it item) error {
		var book angzarr.EventBook
		if err := proto.Unmarshal(it.page, &book); err != nil || len(book.Pages) != 1 {
			return status.Errorf(codes.DataLoss, "page %d of %s/%s can't be read: %v", it.sequence, domain, root, err)
		}
		places = append(places, Place{it.next - 1, book.Pages[0]})
		return nil
	})
	return places, statusOf(ctx, err)
}
