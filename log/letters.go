package log

import (
	"context"
	"errors"
	"fmt"
)

// ReadLetters gives the dead letters of a domain that stand before the ends of the
// topic's partitions, one by one, as the latest of each is; and, as ones that say
// so, those that were dropped a while ago. Keep says which are wanted, and may
// take away what is not.
func (c Cluster) ReadLetters(ctx context.Context, domain string, ends map[int32]int64, keep func(*DeadLetter) bool) (Letters, error) {
	box := Letters{}
	err := c.FollowLetters(ctx, domain, spansTo(ends), box.Fold(keep))
	if err != nil {
		return nil, err
	}
	return box, nil
}

func spansTo(ends map[int32]int64) map[int32]Span {
	spans := make(map[int32]Span, len(ends))
	for p, end := range ends {
		spans[p] = Span{To: end}
	}
	return spans
}

// Letters are dead letters by their ids.
type Letters map[LetterID]*DeadLetter

// Fold gives a function that takes letters in, and away again, in the order of the
// log.
func (b Letters) Fold(keep func(*DeadLetter) bool) func(*DeadLetter, bool) {
	return func(l *DeadLetter, stands bool) {
		if (stands || l.Dropped != "") && keep(l) {
			b[l.ID] = l
			return
		}
		delete(b, l.ID)
	}
}

// FollowLetters reads stretches of a domain's dead-letters topic: letters, and
// those that stand no more, because somebody was done with them or has dropped
// them.
func (c Cluster) FollowLetters(ctx context.Context, domain string, spans map[int32]Span, fn func(l *DeadLetter, stands bool)) error {
	topic := DeadLettersTopic(domain)
	err := c.Scan(ctx, topic, spans, func(r *Record) error {
		l, err := DecodeLetter(r)
		switch {
		case errors.Is(err, ErrNoLetter), err == nil && l.Dropped != "":
			fn(&l, false)
		case err == nil:
			fn(&l, true)
		case l.ID != LetterID{}:
			// Something of ours, of which a header can't be read: it is no
			// reason to hide it.
			l.Message = err.Error()
			fn(&l, true)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the dead letters of %s: %w", domain, err)
	}
	return nil
}
