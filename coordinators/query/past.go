package query

import (
	"context"
	"errors"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
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
	last     uint32            // the last page, 0 if that is not known
}

// now gives the snapshot that the open book begins with, by the shelf and what the
// log has behind its mark.
func (s *Service) now(ctx context.Context, of aggregate, end int64) (book, error) {
	_, found, err := s.search(ctx, of, end)
	if err != nil {
		return book{}, err
	}
	b := book{snapshot: found.Snapshot}
	if found.Erased {
		return b, erasedStatus(of.domain, of.root)
	}
	err = s.scan(ctx, of, log.Span{From: found.Mark, To: end}, func(r *log.Record) error {
		root, _, kind := log.ParseKey(r.Key)
		switch {
		case root != of.root || r.Value == nil:
			return nil
		case kind == log.KeyErased:
			return erasedStatus(of.domain, of.root)
		case kind != log.KeySnapshot:
			return nil
		}
		b.snapshot = new(angzarr.Snapshot)
		if err := proto.Unmarshal(r.Value, b.snapshot); err != nil {
			return unreadable(r, err)
		}
		return nil
	})
	return b, err
}

// find looks for the book at a moment: first for where it is, so that what is
// sent needs no more memory than a chunk, however long it is.
func (s *Service) find(ctx context.Context, of aggregate, m moment, end int64) (book, error) {
	var b book
	past := false // the moment was before what comes now
	err := s.scan(ctx, of, log.Span{To: end}, func(r *log.Record) error {
		root, sequence, kind := log.ParseKey(r.Key)
		if root != of.root || r.Value == nil {
			return nil
		}
		switch kind {
		case log.KeyPage:
			page, err := decode(r)
			if err != nil {
				return err
			}
			past = past || m.page > 0 && sequence > m.page || !m.at.IsZero() && page.CreatedAt.After(m.at)
			if !past {
				b.last = sequence
			}
		case log.KeyErased:
			return erasedStatus(of.domain, of.root)
		case log.KeySnapshot:
			if past {
				return nil
			}
			var snapshot angzarr.Snapshot
			if err := proto.Unmarshal(r.Value, &snapshot); err != nil {
				return unreadable(r, err)
			}
			b.snapshot = &snapshot
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
func (s *Service) sendPast(ctx context.Context, of aggregate, m moment, end int64, out *chunks) error {
	b, err := book{}, error(snapshots.ErrNotFound)
	if m == (moment{}) {
		b, err = s.now(ctx, of, end)
	}
	if errors.Is(err, snapshots.ErrNotFound) {
		if b, err = s.find(ctx, of, m, end); b.last == 0 {
			return err
		}
	}
	if err != nil {
		return err
	}
	out.snapshot = b.snapshot
	between := bounds{first: b.snapshot.GetSequence() + 1, last: b.last}
	if b.last > 0 && between.first > b.last {
		return nil
	}
	return s.pages(ctx, of, between, end, out.take)
}
