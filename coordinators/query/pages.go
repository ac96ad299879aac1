package query

import (
	"context"
	"errors"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

const (
	// slowScan is how many records may be read for a root without a word.
	slowScan = 10_000
	// near is how close to each other, in offsets, pages are that are read at once.
	near = 64
	// oneBatch is what is read of the log for a page alone.
	oneBatch = 4 << 10
)

// aggregate is a root and where it is.
type aggregate struct {
	domain    string
	root      log.Root
	partition int32
}

// bounds are the first page and the last one, 0 for open; and where in the log the
// first one may be.
type bounds struct {
	first, last uint32
	from        int64
}

// send takes a page.
type send func(item) error

// pages gives a root's pages before an offset, in order: none before it is known
// that they were not erased before it.
func (s *Service) pages(ctx context.Context, of aggregate, b bounds, end int64, to send) error {
	tell := b.only(to)
	err := s.byShelf(ctx, of, b, end, tell)
	if errors.Is(err, snapshots.ErrNotFound) {
		err = s.byLog(ctx, of, b, end, tell)
	}
	if err == log.ErrStop {
		return nil
	}
	return err
}

func (s *Service) byShelf(ctx context.Context, of aggregate, b bounds, end int64, to send) error {
	domain, found, err := s.search(ctx, of, end)
	if err != nil {
		return err
	}
	if found.Erased {
		return erasedStatus(of.domain, of.root)
	}
	behind, err := s.keep(ctx, of, b, log.Span{From: found.Mark, To: end})
	if err != nil {
		return err
	}
	if err := s.shelved(ctx, of, domain, found, b, to); err != nil {
		return err
	}
	return s.give(ctx, of, behind, to)
}

// byLog reads to where the log ends by now: what the shelf knew of may have been
// erased since, and compacted.
func (s *Service) byLog(ctx context.Context, of aggregate, b bounds, end int64, to send) error {
	s.metrics.read(of.domain, fromLog)
	if now, st := s.end(ctx, of.domain, of.partition); st == nil {
		end = max(end, now)
	}
	all, err := s.keep(ctx, of, b, log.Span{To: end})
	if err != nil {
		return err
	}
	return s.give(ctx, of, all, to)
}

// only has pages within the bounds go on, each once, and ends with ErrStop behind
// the last one.
func (b bounds) only(to send) send {
	next := b.first
	return func(it item) error {
		switch {
		case b.last > 0 && it.sequence > b.last:
			return log.ErrStop
		case it.sequence < next || it.next <= b.from:
			return nil
		case it.err != nil:
			return it.err
		}
		if err := to(it); err != nil {
			return err
		}
		if next = it.sequence + 1; it.sequence == b.last {
			return log.ErrStop
		}
		return nil
	}
}

// page hands over a record, if it is a page of the root.
func page(root log.Root, r *log.Record, to send) error {
	if it, ok := itemOf(r, func(of log.Root) bool { return of == root }); ok && it.erased == nil {
		return to(it)
	}
	return nil
}

// shelved gives pages by what the shelf knows: those before its mark. After
// ErrNotFound some of them may be missing.
func (s *Service) shelved(ctx context.Context, of aggregate, domain log.Domain, found *snapshots.Found, b bounds, to send) error {
	s.metrics.read(of.domain, fromShelf)
	if b.first <= found.Covers {
		if err := s.covered(ctx, of, domain, found, b, to); err != nil {
			return err
		}
	}
	return found.Pages(ctx, func(offset int64, sequence uint32, page []byte) error {
		return to(item{root: of.root, sequence: sequence, next: offset + 1, page: page, size: len(page)})
	})
}

// search looks a root up on the shelf.
func (s *Service) search(ctx context.Context, of aggregate, end int64) (log.Domain, *snapshots.Found, error) {
	if s.shelf == nil {
		return log.Domain{}, nil, snapshots.ErrNotFound
	}
	domain, err := s.origins.get(ctx, of.domain)
	if err != nil {
		return domain, nil, errors.Join(snapshots.ErrNotFound, err)
	}
	found, err := s.shelf.Find(ctx, domain, of.partition, of.root)
	if err != nil {
		s.log.Debug("the shelf can't tell of a root's pages: they are searched for in the log", "domain", of.domain, "root", of.root, "error", err)
		return domain, nil, err
	}
	if found.Mark > end {
		// It may have moved on since. If not, it is of a log that was longer.
		if now, st := s.end(ctx, of.domain, of.partition); st != nil || found.Mark > now {
			return domain, nil, snapshots.ErrNotFound
		}
	}
	return domain, found, nil
}

// covered gives pages that are before the snapshot, each from its place in the log.
func (s *Service) covered(ctx context.Context, of aggregate, domain log.Domain, found *snapshots.Found, b bounds, to send) error {
	for next := b.first; next <= found.Covers; {
		places, err := found.Places(ctx, next, found.Covers)
		if err != nil {
			return err
		}
		next += uint32(len(places))
		var spots []spot
		for _, at := range places {
			if at >= b.from {
				spots = append(spots, spot{offset: at})
			}
		}
		if err := s.visit(ctx, of, domain, spots, func(r *log.Record) error { return page(of.root, r, to) }); err != nil {
			return err
		}
	}
	return nil
}

// spot is where a record stands in the log, or may stand.
type spot struct {
	offset int64
	may    bool
}

// visit calls fn with what stands at these spots, in order. It fails with
// ErrNotFound where nothing does that must: it was erased.
func (s *Service) visit(ctx context.Context, of aggregate, domain log.Domain, spots []spot, fn func(*log.Record) error) error {
	generation := log.Generation{Cluster: domain.ClusterID, ID: domain.EventsID}
	// before drops the spots before an offset.
	before := func(offset int64) error {
		for len(spots) > 0 && spots[0].offset < offset {
			if !spots[0].may {
				return snapshots.ErrNotFound
			}
			spots = spots[1:]
		}
		return nil
	}
	for size := oneBatch; len(spots) > 0; {
		from := spots[0].offset
		read, err := s.admin.Fetch(ctx, log.EventsTopic(of.domain), generation, of.partition, from, size, wantedOf(&of.root))
		if err != nil {
			return err
		}
		for i := range read.Records {
			r := &read.Records[i]
			if err := before(r.Offset); err != nil {
				return err
			}
			if len(spots) > 0 && spots[0].offset == r.Offset {
				if err := fn(r); err != nil {
					return err
				}
				spots = spots[1:]
			}
		}
		if err := before(max(read.Next, from+1)); err != nil {
			return err
		}
		if len(spots) > 0 && spots[0].offset-read.Next < near {
			size = min(largest, 2*size)
		} else {
			size = oneBatch
		}
	}
	return nil
}

// scan reads what the root's partition has of the root in a stretch. It waits for
// transactions that are open before its end.
func (s *Service) scan(ctx context.Context, of aggregate, span log.Span, fn func(*log.Record) error) error {
	if span.To-span.From > slowScan {
		s.log.Warn("a root's pages are searched for in the log, which takes a while", "domain", of.domain, "root", of.root, "records", span.To-span.From)
	}
	s.metrics.searched(of.domain, max(0, span.To-span.From))
	return s.through(ctx, stretch{topic: log.EventsTopic(of.domain), partition: of.partition}, span, wantedOf(&of.root), fn)
}
