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

// looking makes the book at a moment of what the log has, in its order.
type looking struct {
	moment
	book
	of   aggregate
	past bool // the moment was before what comes now
}

func (l *looking) page(sequence uint32, created time.Time) {
	l.past = l.past || l.moment.page > 0 && sequence > l.moment.page || !l.at.IsZero() && created.After(l.at)
	if !l.past {
		l.last = sequence
	}
}

func (l *looking) take(s *angzarr.Snapshot) {
	if !l.past {
		l.snapshot, l.last = s, max(l.last, s.GetSequence())
	}
}

func (l *looking) record(r *log.Record) error {
	root, sequence, kind := log.ParseKey(r.Key)
	if root != l.of.root || r.Value == nil {
		return nil
	}
	switch kind {
	case log.KeyErased:
		return erasedStatus(l.of.domain, l.of.root)
	case log.KeyPage:
		page, err := decode(r)
		if err != nil {
			return err
		}
		l.page(sequence, page.CreatedAt)
	case log.KeySnapshot:
		s, err := snapshotOf(r)
		if err != nil {
			return err
		}
		l.take(s)
	}
	return nil
}

func snapshotOf(r *log.Record) (*angzarr.Snapshot, error) {
	s := &angzarr.Snapshot{}
	if err := proto.Unmarshal(r.Value, s); err != nil {
		return nil, unreadable(r, err)
	}
	return s, nil
}

// found gives the book, once all of the log was looked at.
func (l *looking) found() (book, error) {
	if l.must && l.last > 0 && l.last < l.moment.page {
		return l.book, status.Errorf(codes.NotFound, "as_of_sequence: %d is after the aggregate's last page, %d", l.moment.page, l.last)
	}
	return l.book, nil
}

// find looks for the book at a moment: first for where it is, so that what is
// sent needs no more memory than a chunk, however long it is.
func (s *Service) find(ctx context.Context, of aggregate, m moment, end int64) (book, error) {
	s.metrics.read(of.domain, fromLog)
	l := &looking{moment: m, of: of}
	if err := s.scan(ctx, of, log.Span{To: end}, l.record); err != nil {
		return book{}, err
	}
	return l.found()
}

// findByShelf is find by what the shelf knows, and what the log has behind its mark.
// Of the present's book it leaves open how long it is.
func (s *Service) findByShelf(ctx context.Context, of aggregate, m moment, end int64) (book, error) {
	domain, found, err := s.search(ctx, of, end)
	if err != nil {
		return book{}, err
	}
	if found.Erased {
		return book{}, erasedStatus(of.domain, of.root)
	}
	l := &looking{moment: m, of: of}
	switch {
	case m.page > 0 && m.page < found.Covers:
		l.last, l.past = m.page, true
		l.snapshot, err = s.before(ctx, of, domain, found, m.page)
	case !m.at.IsZero():
		err = s.until(ctx, domain, found, l)
	}
	if err == nil && !l.past {
		if found.Snapshot != nil {
			l.take(found.Snapshot)
		}
		if m != (moment{}) {
			err = found.Pages(ctx, func(_ int64, _ uint32, page []byte) error {
				var book angzarr.EventBook
				if err := proto.Unmarshal(page, &book); err != nil || len(book.Pages) != 1 {
					return snapshots.ErrNotFound
				}
				l.page(book.Pages[0].GetNum(), book.Pages[0].GetCreatedAt().AsTime())
				return nil
			})
		}
	}
	if err == nil {
		err = s.scan(ctx, of, log.Span{From: found.Mark, To: end}, l.record)
	}
	if err != nil {
		return book{}, err
	}
	if m == (moment{}) {
		l.last = 0
	}
	return l.found()
}

// sendPast streams the book of an aggregate as it was at a moment.
func (s *Service) sendPast(ctx context.Context, of aggregate, m moment, end int64, out *chunks) error {
	b, err := s.findByShelf(ctx, of, m, end)
	byLog := errors.Is(err, snapshots.ErrNotFound)
	if byLog {
		b, err = s.find(ctx, of, m, end)
	}
	if err != nil || b.last == 0 && (byLog || m != (moment{})) {
		return err
	}
	out.snapshot = b.snapshot
	between := bounds{first: b.snapshot.GetSequence() + 1, last: b.last}
	if b.last > 0 && between.first > b.last {
		return nil
	}
	return s.pages(ctx, of, between, end, out.take)
}
