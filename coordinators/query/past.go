package query

import (
	"context"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// moment says which book is asked for, where it is not all pages between bounds.
type moment struct {
	page uint32    // the last one, 0 for any
	at   time.Time // no page that was created later, and none behind such a one
	must bool      // the page has to be there
}

// momentOf reads a query; ok is false where it asks for pages between bounds.
func momentOf(q *angzarr.Query) (m moment, ok bool) {
	switch {
	case q.AsOfSequence > 0:
		return moment{page: q.AsOfSequence, must: true}, true
	case q.AsOfTime != nil:
		return moment{at: q.AsOfTime.AsTime()}, true
	case q.OpenBook && q.LowerBound <= 1:
		return moment{page: q.UpperBound}, true
	}
	return moment{}, false
}

// book is an aggregate's book at a moment: the pages after a snapshot, or all.
type book struct {
	snapshot *angzarr.Snapshot // nil if there is none
	from     int64             // the offset of the first record that is needed
	last     uint32            // the last page, 0 if there is none
}

// find looks for the book at a moment: first for where it is, so that what is
// sent needs no more memory than a chunk, however long it is.
func (s *Service) find(ctx context.Context, q *angzarr.Query, root log.Root, m moment, partition int32, end int64) (book, error) {
	var b book
	err := s.scan(ctx, q.Domain, partition, log.Span{To: end}, func(r *log.Record) error {
		of, sequence, kind := log.ParseKey(r.Key)
		if of != root || r.Value == nil {
			return nil
		}
		switch kind {
		case log.KeyPage:
			page, err := decode(r)
			if err != nil {
				return err
			}
			if m.page > 0 && sequence > m.page || !m.at.IsZero() && page.CreatedAt.After(m.at) {
				return log.ErrStop
			}
			b.last = sequence
		case log.KeySnapshot:
			var snapshot angzarr.Snapshot
			if err := proto.Unmarshal(r.Value, &snapshot); err != nil {
				return unreadable(r, err)
			}
			b.snapshot, b.from = &snapshot, r.Offset
			b.last = max(b.last, snapshot.Sequence)
		}
		return nil
	})
	if err == nil && m.must && b.last > 0 && b.last < m.page {
		err = status.Errorf(codes.NotFound, "as_of_sequence: %d is after the aggregate's last page, %d", m.page, b.last)
	}
	return b, err
}

// sendPast streams the book of an aggregate as it was at a moment.
func (s *Service) sendPast(ctx context.Context, q *angzarr.Query, root log.Root, m moment, partition int32, end int64, out *chunks) error {
	b, err := s.find(ctx, q, root, m, partition, end)
	if err != nil || b.last == 0 {
		return err
	}
	between := &angzarr.Query{LowerBound: b.snapshot.GetSequence() + 1, UpperBound: b.last}
	out.snapshot = b.snapshot
	if between.LowerBound > between.UpperBound {
		return nil
	}
	return s.scan(ctx, q.Domain, partition, log.Span{From: b.from, To: end}, func(r *log.Record) error {
		return answer(between, root, r, out)
	})
}
