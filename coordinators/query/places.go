package query

import (
	"context"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

// firstBack is how many pages are looked at first for a snapshot before a page.
const firstBack = 64

// behind are the pages' places, and where a snapshot stands that covers just up to
// one of them: its owner writes it right behind the page.
func behind(places []int64) []spot {
	spots := make([]spot, 0, 2*len(places))
	for i, at := range places {
		if spots = append(spots, spot{offset: at}); i+1 == len(places) || places[i+1] != at+1 {
			spots = append(spots, spot{at + 1, true})
		}
	}
	return spots
}

// before gives the latest snapshot of an earlier page than the shelf's that covers
// no more than up to a page, nil if compaction has left none. It goes back from
// there, so that it reads little more than the pages behind that snapshot.
func (s *Service) before(ctx context.Context, of aggregate, domain log.Domain, found *snapshots.Found, page uint32) (latest *angzarr.Snapshot, err error) {
	for to, n := page, uint32(firstBack); to > 0 && latest == nil; n = min(2*n, 4096) {
		from := to - min(to, n) + 1
		places, err := found.Places(ctx, from, to)
		if err != nil {
			return nil, err
		}
		err = s.visit(ctx, of, domain, behind(places), func(r *log.Record) error {
			if root, _, kind := log.ParseKey(r.Key); root != of.root || kind != log.KeySnapshot || r.Value == nil {
				return nil
			}
			latest, err = snapshotOf(r)
			return err
		})
		if err != nil {
			return nil, err
		}
		to = from - 1
	}
	return latest, nil
}

// until looks at the pages that the shelf's snapshot covers, up to the first one
// that was created after the moment: when that was, only the pages tell.
func (s *Service) until(ctx context.Context, domain log.Domain, found *snapshots.Found, l *looking) error {
	for next := uint32(1); next <= found.Covers && !l.past; {
		places, err := found.Places(ctx, next, found.Covers)
		if err != nil {
			return err
		}
		next += uint32(len(places))
		err = s.visit(ctx, l.of, domain, behind(places), func(r *log.Record) error {
			if l.past {
				return log.ErrStop
			}
			return l.record(r)
		})
		if err != nil && err != log.ErrStop {
			return err
		}
	}
	return nil
}
