package snapshots

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/redis/go-redis/v9"
)

// Audit says what a partition's shelf is worth, compared with the log.
type Audit struct {
	// Mark is the offset up to which the shelf is complete; -1 if it has no mark
	// that can be believed, and then Why says why.
	Mark int64
	Why  error
	// Books are what the log says. GivenUp are not there any more: the log is
	// asked for these.
	Books, GivenUp int
	// Wrong says of each other book in which way it differs from the log.
	Wrong []string
}

// ErrBusy says that a shelf was written to while it was compared with the log, so
// that nothing can be said of it.
var ErrBusy = errors.New("it is being written to")

// Audit compares all that the shelf has of a partition with a fold of the log up
// to the shelf's mark: open books, where each page stands and which command it is
// of, and which commands are remembered. Nothing may be committed meanwhile; end
// is the high watermark.
func (s *Shelf) Audit(ctx context.Context, domain log.Domain, partition int32, read Reader, end int64) (Audit, error) {
	k := newKeeper(s, domain, partition, end)
	defer k.close()
	a := Audit{Mark: -1}
	raw, _, err := s.glance(ctx, k.keys, nil)
	if err != nil {
		return a, err
	}
	m, why := parseMark(raw, k.origin, time.Now(), k.maxAge)
	if why == nil {
		why = m.ahead(end)
	}
	if why != nil {
		a.Why = why
		return a, nil
	}
	a.Mark = m.offset
	t, err := foldTruth(ctx, read, partition, m.offset)
	if err != nil {
		return a, err
	}
	roots, err := s.roots(ctx, k.keys)
	if err != nil {
		return a, err
	}
	for root := range t.traces {
		roots[root] = true
	}
	for left := sortedRoots(roots); len(left) > 0; {
		raw, seen, err := s.glance(ctx, k.keys, left)
		if err != nil {
			return a, err
		}
		if now, why := parseMark(raw, k.origin, time.Now(), k.maxAge); why != nil || now.offset != m.offset || now.shelf != m.shelf {
			return a, fmt.Errorf("audit the shelf of partition %d: %w: %w", partition, ErrBusy, errMoved)
		}
		for i, found := range seen {
			if err := a.compare(ctx, k, m, t, left[i], found); err != nil {
				return a, err
			}
		}
		left = left[len(seen):]
	}
	// A long history is read in parts, so that one which changed meanwhile looks
	// corrupt.
	if len(a.Wrong) > 0 {
		raw, _, err := s.glance(ctx, k.keys, nil)
		if now, why := parseMark(raw, k.origin, time.Now(), k.maxAge); err == nil && (why != nil || now.offset != m.offset || now.shelf != m.shelf) {
			err = fmt.Errorf("audit the shelf of partition %d: %w: %w", partition, ErrBusy, errMoved)
		}
		return a, err
	}
	return a, nil
}

// compare judges one book.
func (a *Audit) compare(ctx context.Context, k *keeper, m mark, t *truth, root log.Root, s stored) error {
	want := t.books.Acquire(t.partition, root)
	defer t.books.Release(want)
	mine := len(s.book) >= idSize && s.book[:idSize] == string(m.shelf[:])
	switch {
	case !mine && want.blank():
		return nil // nothing, or what an earlier shelf left behind
	case s.book == "":
		a.wrong(root, "the log has %d pages, the shelf none", want.last)
		return nil
	case !mine:
		a.wrong(root, "it is an earlier shelf's, and the mark says that it is this one's")
		return nil
	case s.book[idSize:] == string(kindLost):
		a.GivenUp++
		return nil
	}
	got, err := k.open(ctx, m, root, s)
	var traces []trace
	if err == nil && got.book.broken == nil {
		traces, err = k.traces(ctx, got.book, s.book[idSize:])
	}
	switch {
	case errors.Is(err, errCorrupt):
		a.wrong(root, "it is corrupt")
	case err != nil:
		return err
	default:
		a.judge(root, got.book, want, traces, t.traces[root])
	}
	return nil
}

func (a *Audit) wrong(root log.Root, format string, args ...any) {
	a.Wrong = append(a.Wrong, fmt.Sprintf("root %s: %s", root, fmt.Sprintf(format, args...)))
}

func (a *Audit) judge(root log.Root, got, want *Book, stands, must []trace) {
	switch {
	case got.last != want.last || got.Erased() != want.Erased() || (got.broken == nil) != (want.broken == nil):
		a.wrong(root, "the shelf has page %d (erased %v, %v), the log page %d (erased %v, %v)",
			got.last, got.Erased(), got.broken, want.last, want.Erased(), want.broken)
	case want.broken != nil:
		a.Books++ // nobody is given it
	case string(got.AppendTo(nil)) != string(want.AppendTo(nil)):
		a.wrong(root, "up to page %d the shelf's open book has %d bytes, the log's %d, and they differ", want.last, got.Size(), want.Size())
	case !slices.Equal(stands, must):
		a.wrong(root, "the shelf says that its pages stand at %v, the log %v", stands, must)
	case !got.applied.agrees(&want.applied):
		a.wrong(root, "the shelf remembers other commands than the log: %x up to page %d, and %x up to page %d",
			got.applied.recent(), got.applied.last, want.applied.recent(), want.applied.last)
	default:
		a.Books++
	}
}

// agrees compares what is remembered. How far back that goes depends on when
// pages were committed, of which the log and their owner have clocks of their own.
func (w *window) agrees(other *window) bool {
	return slices.Equal(w.recent(), other.recent()) && w.last == other.last
}

// recent are the last commands that are remembered however long ago they were.
func (w *window) recent() (all []hint) {
	for i := range w.blocks {
		all = append(all, w.blocks[i].hints[:w.blocks[i].count]...)
	}
	for i := range w.latest {
		all = append(all, w.latest[i].id.hint())
	}
	all = slices.DeleteFunc(all, func(h hint) bool { return h == 0 })
	return all[max(0, len(all)-rememberLast):]
}

// trace is where a page stands, and which command it is of.
type trace struct {
	offset int64
	id     digest
}

// truth is a partition as the log has it.
type truth struct {
	partition int32
	books     *Books
	traces    map[log.Root][]trace // of each root that was heard of, its pages in order
}

func foldTruth(ctx context.Context, read Reader, partition int32, end int64) (*truth, error) {
	t := &truth{partition: partition, books: NewBooks(math.MaxInt), traces: make(map[log.Root][]trace)}
	erased := make(map[log.Root]bool)
	tracing := func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
		return read(ctx, spans, func(r *log.Record) error {
			for _, c := range changesOf(r) {
				switch {
				case c.kind == kindErased:
					erased[c.root], t.traces[c.root] = true, nil
				case c.kind == kindPage && !erased[c.root]:
					offset, _, id, _ := readStub(c.root, c.sequence, c.entry[headSize:headSize+stubSize])
					t.traces[c.root] = append(t.traces[c.root], trace{offset, id})
				}
			}
			return fn(r)
		})
	}
	err := t.books.Restore(ctx, tracing, map[int32]int64{partition: end}, func(int) {})
	return t, err
}

// traces reads the pages' stubs: of those that a snapshot covers from the book's
// history, of the others from its row.
func (k *keeper) traces(ctx context.Context, b *Book, row string) (all []trace, err error) {
	add := func(sequence uint32, stub string) error {
		offset, _, id, ok := readStub(b.root, sequence, []byte(stub))
		if !ok || sequence != uint32(len(all))+1 {
			return errCorrupt
		}
		all = append(all, trace{offset, id})
		return nil
	}
	if b.covers > 0 {
		_, stubs, err := k.shelf.rest(ctx, k.keys, b.root, int64(b.covers)*stubSize)
		if err == nil && len(stubs) != int(b.covers)*stubSize {
			err = errCorrupt
		}
		for ; err == nil && len(stubs) > 0; stubs = stubs[stubSize:] {
			err = add(uint32(len(all))+1, stubs[:stubSize])
		}
		if err != nil {
			return nil, err
		}
	}
	for len(row) > 0 { // which was decoded before
		size := headSize + int(binary.BigEndian.Uint32([]byte(row[1:headSize]))) + tailSize
		if row[0] == kindPage {
			sequence := binary.BigEndian.Uint32([]byte(row[size-tailSize:]))
			if err := add(sequence, row[headSize:headSize+stubSize]); err != nil {
				return nil, err
			}
		}
		row = row[size:]
	}
	return all, nil
}

// roots are those of which a partition's shelf has a book.
func (s *Shelf) roots(ctx context.Context, k keys) (map[log.Root]bool, error) {
	var mu sync.Mutex
	found := make(map[log.Root]bool)
	before := len(k.book(log.Root{})) - len(log.Root{})
	scan := func(ctx context.Context, node redis.Cmdable) error {
		all := node.Scan(ctx, 0, k.prefix+"b:*", lookRoots).Iterator()
		for all.Next(ctx) {
			if key := all.Val(); len(key) == before+len(log.Root{}) {
				mu.Lock()
				found[log.Root([]byte(key[before:]))] = true
				mu.Unlock()
			}
		}
		return all.Err()
	}
	err := error(nil)
	if cluster, is := s.client.(*redis.ClusterClient); is {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return scan(ctx, node) })
	} else {
		err = scan(ctx, s.client)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: list its books: %w", errRedis, err)
	}
	return found, nil
}

func sortedRoots(set map[log.Root]bool) []log.Root {
	all := make([]log.Root, 0, len(set))
	for root := range set {
		all = append(all, root)
	}
	slices.SortFunc(all, func(a, b log.Root) int { return slices.Compare(a[:], b[:]) })
	return all
}
