package snapshots

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

const (
	// findBytes is how much of a book is read at a time.
	findBytes = 256 << 10
	// findStubs is how many pages' places are read at a time.
	findStubs = 4096
)

// ErrNotFound says that the shelf can't tell of a root's pages: the log can.
var ErrNotFound = errors.New("the shelf can't tell")

// Found is what the shelf has of a root, for whoever reads it. All of the log
// before the offset Mark is in it.
type Found struct {
	Mark int64
	// Covers is the last page that the snapshot covers; what stands for these
	// pages are their places in the log.
	Covers   uint32
	Snapshot *angzarr.Snapshot // nil if there is none
	Erased   bool

	shelf *Shelf
	keys  keys
	root  log.Root
	id    shelfID
	size  int    // the book's, its first bytes are
	row   []byte // these

	history int64 // the history's size, and its shelf id
	head    string
}

// Find looks a root up, from any process. It fails with [ErrNotFound] where the log
// must be asked.
func (s *Shelf) Find(ctx context.Context, domain log.Domain, partition int32, root log.Root) (*Found, error) {
	f := &Found{shelf: s, keys: keysOf(domain.Name, partition), root: root}
	var raw []any
	err := s.run(ctx, func(ctx context.Context) (err error) {
		raw, err = s.ask(ctx, &s.finds, f.keys.of([]log.Root{root}))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err = f.open(raw, originOf(domain.ClusterID, domain.EventsID), domain.TombstoneRetention/2); err == nil {
		err = f.cover(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return f, nil
}

// open reads what find.lua gave.
func (f *Found) open(raw []any, origin string, maxAge time.Duration) error {
	texts := make([]string, 4)
	for i, at := range []int{0, 1, 3, 5} {
		var err error
		if texts[i], err = text(raw[at]); err != nil {
			return err
		}
	}
	size, isSize := raw[2].(int64)
	history, isHistory := raw[4].(int64)
	if !isSize || !isHistory {
		return fmt.Errorf("%w: it answers no numbers", errRedis)
	}
	if texts[1] != "0" {
		return fmt.Errorf("%w: "+hasEvicted, errRedis, texts[1])
	}
	m, why := parseMark(texts[0], origin, time.Now(), maxAge)
	if why != nil {
		return why
	}
	f.Mark, f.id = m.offset, m.shelf
	if size == 0 {
		return nil // a new aggregate, by the word of the mark
	}
	if size < idSize || texts[2][:idSize] != string(m.shelf[:]) {
		return errCorrupt
	}
	f.size, f.row = int(size)-idSize, []byte(texts[2][idSize:])
	f.history, f.head = history, texts[3]
	return nil
}

// cover reads what the book begins with.
func (f *Found) cover(ctx context.Context) error {
	for len(f.row) > 0 && (f.row[0] == kindSnapshot || f.row[0] == kindErased) {
		_, entry, err := f.entry(f.row)
		if err == errShort {
			if f.row, err = f.more(ctx, f.row, len(f.row)); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		if entry.kind == kindErased {
			f.Erased = true
			break
		}
		var book angzarr.EventBook
		if len(entry.body) < offsetSize || proto.Unmarshal(entry.body[offsetSize:], &book) != nil {
			return errCorrupt
		}
		f.Covers, f.Snapshot = entry.sequence, book.Snapshot
		if f.Covers > 0 && (f.history != int64(f.Covers)*stubSize+idSize || f.head != string(f.id[:])) {
			return errCorrupt
		}
		break
	}
	return nil
}

// rowEntry is one of a book's entries.
type rowEntry struct {
	kind     byte
	sequence uint32
	body     []byte
}

// errShort says that an entry goes on behind what was read.
var errShort = errors.New("short")

// entry reads the first entry, and gives how long it is.
func (f *Found) entry(row []byte) (int, rowEntry, error) {
	if len(row) < headSize {
		return 0, rowEntry{}, errShort
	}
	size := int(binary.BigEndian.Uint32(row[1:])) + headSize + tailSize
	if size > f.size {
		return 0, rowEntry{}, errCorrupt
	}
	if size > len(row) {
		return 0, rowEntry{}, errShort
	}
	entry := row[:size]
	if checksum(f.root[:], entry[:size-4]) != binary.BigEndian.Uint32(entry[size-4:]) {
		return 0, rowEntry{}, errCorrupt
	}
	return size, rowEntry{entry[0], binary.BigEndian.Uint32(entry[size-tailSize:]), entry[headSize : size-tailSize]}, nil
}

// Places gives where the covered pages are in the log, from one number to another:
// some, if there are many.
func (f *Found) Places(ctx context.Context, from, to uint32) ([]int64, error) {
	n := min(int64(min(to, f.Covers))-int64(from)+1, findStubs)
	if n <= 0 {
		return nil, nil
	}
	start := idSize + int64(from-1)*stubSize
	var stubs string
	err := f.shelf.run(ctx, func(ctx context.Context) (err error) {
		stubs, err = f.shelf.client.GetRange(ctx, f.keys.history(f.root), start, start+n*stubSize-1).Result()
		return err
	})
	if err == nil && int64(len(stubs)) != n*stubSize {
		err = errCorrupt // begun anew meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	places := make([]int64, n)
	for i := range places {
		offset, _, _, ok := readStub(f.root, from+uint32(i), []byte(stubs[i*stubSize:(i+1)*stubSize]))
		if !ok {
			return nil, fmt.Errorf("%w: %w", ErrNotFound, errCorrupt)
		}
		places[i] = offset
	}
	return places, nil
}

// Pages calls fn with each page that the snapshot doesn't cover, in order: where it is
// in the log, its number, and itself as an EventBook's field. After [ErrNotFound] the
// log has those that fn wasn't called with. Other errors are fn's.
func (f *Found) Pages(ctx context.Context, fn func(offset int64, sequence uint32, page []byte) error) error {
	row, read := f.row, len(f.row)
	last := f.Covers
	for len(row) > 0 || read < f.size {
		size, e, err := f.entry(row)
		if err == errShort {
			if row, err = f.more(ctx, row, read); err != nil {
				return fmt.Errorf("%w: %w", ErrNotFound, err)
			}
			read = min(f.size, read+findBytes)
			continue
		}
		if err == nil {
			err = f.give(e, &last, fn)
		}
		if err != nil {
			return err
		}
		row = row[size:]
	}
	return nil
}

// more reads what comes behind the row that was read.
func (f *Found) more(ctx context.Context, row []byte, read int) ([]byte, error) {
	if read >= f.size {
		return nil, errCorrupt
	}
	var next string
	err := f.shelf.run(ctx, func(ctx context.Context) (err error) {
		from := int64(idSize + read)
		next, err = f.shelf.client.GetRange(ctx, f.keys.book(f.root), from, from+int64(min(findBytes, f.size-read))-1).Result()
		return err
	})
	if err == nil && len(next) != min(findBytes, f.size-read) {
		err = errCorrupt // begun anew meanwhile
	}
	return append(row[:len(row):len(row)], next...), err
}

// give hands an entry's page to fn.
func (f *Found) give(e rowEntry, last *uint32, fn func(int64, uint32, []byte) error) error {
	switch {
	case e.kind == kindSnapshot, e.kind == kindErased:
		return nil // an erased root has no pages
	case e.kind != kindPage || e.sequence != *last+1 || len(e.body) < stubSize:
		return fmt.Errorf("%w: %w", ErrNotFound, errCorrupt)
	}
	offset, _, _, ok := readStub(f.root, e.sequence, e.body[:stubSize])
	if !ok {
		return fmt.Errorf("%w: %w", ErrNotFound, errCorrupt)
	}
	*last = e.sequence
	return fn(offset, e.sequence, e.body[stubSize:])
}
