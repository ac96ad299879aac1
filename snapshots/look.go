package snapshots

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

// look gives what the shelf has of the first of the roots, as many as fit into
// one look; the mark is seen in the same one. needed is how far the shelf must be
// complete to have the roots' books.
func (k *keeper) look(ctx context.Context, needed int64, roots []log.Root) ([]*found, error) {
	settled := k.settled.Load()
	raw, seen, err := k.shelf.glance(ctx, k.keys, roots)
	if err != nil {
		return nil, err
	}
	m, why := parseMark(raw, k.origin, time.Now(), k.maxAge)
	if why != nil {
		return nil, fmt.Errorf("the shelf can't be believed: %w", why)
	}
	if m.offset < settled {
		k.doubt() // it has gone back
	}
	// A book that isn't there is a new aggregate's only by the word of a mark
	// that is far enough.
	from := m.offset
	if from >= needed {
		from = whole
	}
	lost := 0
	books := make([]*found, len(seen))
	for i, s := range seen {
		if m.offset == 0 {
			s = stored{} // of a rebuild that isn't done
		}
		f, err := k.open(ctx, m, roots[i], s)
		switch {
		case errors.Is(err, errCorrupt):
			lost++
			f = &found{book: &Book{root: roots[i], partition: k.partition}, lost: true, how: resultLog}
		case err != nil:
			return nil, err
		default:
			if f.from = from; from < whole {
				f.how = resultTail
			}
		}
		books[i] = f
	}
	if lost > 0 {
		k.counts.gaveUp(lost)
		k.log.Warn("books on the shelf are corrupt, or were given up: they are rebuilt from the log", "books", lost)
	}
	return books, nil
}

// open makes a book of what is stored.
func (k *keeper) open(ctx context.Context, m mark, root log.Root, s stored) (*found, error) {
	if s.book == "" {
		return &found{book: &Book{root: root, partition: k.partition}, how: resultNew}, nil
	}
	if len(s.book) < idSize || s.book[:idSize] != string(m.shelf[:]) {
		// Of a shelf before this one, or corrupt.
		return nil, errCorrupt
	}
	b, err := decodeBook(root, k.partition, []byte(s.book[idSize:]))
	if err == nil && b.covers > 0 && b.broken == nil {
		err = k.readHistory(ctx, m, b, s)
	}
	if err != nil {
		return nil, err
	}
	return &found{book: b, how: resultHit}, nil
}

// readHistory has the book remember the commands that its snapshot covers, from
// as far back as they must be remembered.
func (k *keeper) readHistory(ctx context.Context, m mark, b *Book, s stored) error {
	size := int64(b.covers) * stubSize
	if s.historySize != size+idSize || s.historyID != string(m.shelf[:]) {
		return errCorrupt
	}
	for want := int64(firstStubs * stubSize); ; want *= 8 {
		want = min(want, size)
		ending := s.historyEnding
		if int64(len(ending)) < want {
			head, more, err := k.shelf.rest(ctx, k.keys, b.root, want)
			if err != nil {
				return err
			}
			if head != string(m.shelf[:]) || int64(len(more)) < want {
				return errCorrupt // begun anew meanwhile
			}
			ending = more
		}
		enough, err := b.remember([]byte(ending[int64(len(ending))-want:]))
		if enough || err != nil {
			return err
		}
	}
}
