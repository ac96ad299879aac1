package snapshots

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// ErrBroken is wrapped by the error of a book whose pages are not 1, 2, 3, …,
// or hold what can't be read.
var ErrBroken = errors.New("the log holds pages that do not follow each other, or can't be read")

// Book is an aggregate's open book, in the form in which it goes to business
// logic: bytes that are appended to, not messages.
//
// It is not safe for concurrent use.
type Book struct {
	root      log.Root
	partition int32

	last     uint32          // the number of the last page, 0 if there is none
	snapshot []byte          // an EventBook's field 2, tag and all
	covers   uint32          // the last page that the snapshot covers
	pages    []byte          // an EventBook's fields 3, tags and all, from covers+1 on
	opens    int64           // the offset of the snapshot, or of the first page
	erasure  *angzarr.Erased // nil if it was not erased
	broken   error

	applied window
	changed int64   // past the last change since it was loaded, 0 if there is none
	keeper  *keeper // hears of changes; nil without a shelf

	// Where the book stands among the others; see [Books].
	in         *partition // nil once it left
	pins       int
	size       int
	prev, next *Book
}

// blank says that the book is a new aggregate's.
func (b *Book) blank() bool {
	return b.last == 0 && b.snapshot == nil && b.erasure == nil && b.broken == nil
}

// Last is the number of the last page, 0 if there is none.
func (b *Book) Last() uint32 { return b.last }

// Erased says that the aggregate was erased for good.
func (b *Book) Erased() bool { return b.erasure != nil }

// Erasure is what the log says of that, nil if it was not erased.
func (b *Book) Erasure() *angzarr.Erased { return b.erasure }

// Err says why the book can't be used, if it can't.
func (b *Book) Err() error { return b.broken }

// Size is the open book's size in bytes, as an EventBook without its cover.
func (b *Book) Size() int { return len(b.snapshot) + len(b.pages) }

// AppendTo appends the open book without its cover: the fields of an EventBook.
func (b *Book) AppendTo(dst []byte) []byte {
	return append(append(dst, b.snapshot...), b.pages...)
}

// Pages gives the pages from first to last, if the open book still has them.
func (b *Book) Pages(first, last uint32) ([]*angzarr.EventPage, bool) {
	if first <= b.covers || last > b.last {
		return nil, false
	}
	var book angzarr.EventBook
	if err := proto.Unmarshal(b.pages, &book); err != nil {
		panic(fmt.Sprintf("snapshots: the book of %s holds bytes that are no pages: %v", b.root, err))
	}
	return book.Pages[first-b.covers-1 : last-b.covers], true
}

// AddPage appends a committed page. at is when it was committed, by the clock of
// whoever did it.
func (b *Book) AddPage(p *log.Page, at time.Time) {
	before := len(b.pages)
	id := digestOf(p.Cause.CommandID)
	b.pages = appendPage(b.pages, p)
	b.addPage(p.Sequence, p.Offset, id, at)
	if b.keeper != nil {
		b.keeper.add(pageChange(b.root, p.Sequence, p.Offset, at.Unix(), id, b.pages[before:]))
	}
}

// addPage counts a page whose bytes were appended.
func (b *Book) addPage(sequence uint32, offset int64, id digest, at time.Time) {
	if sequence != b.last+1 && b.broken == nil {
		b.broken = fmt.Errorf("%w: %s", ErrBroken, gap(b.root, b.partition, "page", sequence, offset, b.last))
	}
	if b.last == 0 {
		b.opens = offset
	}
	b.last, b.changed = sequence, offset+1
	b.applied.add(id, sequence, offset, at.Unix())
}

// SetSnapshot puts a committed snapshot in the place of the pages that it covers:
// all there are, since it was committed together with the last of them.
func (b *Book) SetSnapshot(s *angzarr.Snapshot, offset int64) {
	b.setSnapshot(s, offset)
	if b.keeper != nil {
		b.keeper.add(snapshotChange(b.root, b.covers, offset, b.snapshot))
	}
}

func (b *Book) setSnapshot(s *angzarr.Snapshot, offset int64) {
	if s.GetSequence() != b.last && b.broken == nil {
		b.broken = fmt.Errorf("%w: %s", ErrBroken, gap(b.root, b.partition, "a snapshot of page", s.GetSequence(), offset, b.last))
	}
	b.snapshot = appendSnapshot(b.snapshot[:0], s)
	b.covers, b.opens, b.changed = s.GetSequence(), offset, offset+1
	if b.pages = b.pages[:0]; cap(b.pages) > mostSpare {
		b.pages = nil
	}
}

// mostSpare is how much memory for pages a book keeps when a snapshot has covered
// them: the next ones come soon where business logic makes a snapshot every few.
const mostSpare = 2 << 10

// gap says which number does not follow another.
func gap(root log.Root, partition int32, what string, sequence uint32, offset int64, last uint32) string {
	return fmt.Sprintf("root %s, %s %d at offset %d of partition %d comes after page %d", root, what, sequence, offset, partition, last)
}

// Erase empties the book for good, by a committed erasure or a part of one.
func (b *Book) Erase(e *angzarr.Erased, offset int64) {
	b.erase(e, offset)
	if b.keeper != nil {
		b.keeper.add(erasedChange(b.root, e, offset))
	}
}

func (b *Book) erase(e *angzarr.Erased, offset int64) {
	*b = Book{
		root: b.root, partition: b.partition, last: e.GetLastSequence(), erasure: e, opens: offset,
		changed: offset + 1, keeper: b.keeper, in: b.in, pins: b.pins, size: b.size, prev: b.prev, next: b.next,
	}
}

// Applied tells which pages the command with that id led to, if it was applied
// and is still remembered.
func (b *Book) Applied(commandID string) (Applied, bool) { return b.applied.find(commandID) }

// fold adds a record of the events topic. One that can't be read makes the book
// unusable, and no other.
func (b *Book) fold(r *log.Record, kind log.KeyKind) {
	switch {
	case b.erasure != nil && kind != log.KeyErased, r.Value == nil:
		// Tombstones belong to an erasure, whose own record came before them.
		// What is left of the erased pages may be compacted in any order.
		return
	case kind == log.KeyErased:
		var e angzarr.Erased
		if err := proto.Unmarshal(r.Value, &e); err != nil {
			b.unreadable(r, err)
			return
		}
		b.erase(&e, r.Offset)
	case kind == log.KeySnapshot:
		var s angzarr.Snapshot
		if err := proto.Unmarshal(r.Value, &s); err != nil {
			b.unreadable(r, err)
			return
		}
		b.setSnapshot(&s, r.Offset)
	case kind == log.KeyPage:
		p, err := readPage(r)
		if err != nil {
			b.unreadable(r, err)
		}
		b.pages = p.AppendTo(b.pages)
		b.addPage(p.Sequence, r.Offset, digestOf(p.CommandID), r.Time)
	}
}

// readPage gives what there is of a page, also if not all of it can be read.
func readPage(r *log.Record) (log.RawPage, error) {
	p, err := log.ReadPage(r)
	if err == nil && !(utf8.Valid(p.Prefix) && utf8.Valid(p.Name)) {
		err = errors.New("its type is no valid text")
	}
	if err != nil {
		root, sequence, _ := log.ParseKey(r.Key)
		p = log.RawPage{Root: root, Sequence: sequence, CreatedAt: r.Time, Value: r.Value}
	}
	return p, err
}

func (b *Book) unreadable(r *log.Record, err error) {
	if b.broken == nil {
		b.broken = fmt.Errorf("%w: %s", ErrBroken, unreadable(b.root, r, err))
	}
}

func unreadable(root log.Root, r *log.Record, err error) string {
	return fmt.Sprintf("root %s, the record at offset %d of partition %d can't be read: %v", root, r.Offset, r.Partition, err)
}

// place is where a reader has to begin to make the same book again.
func (b *Book) place() place {
	at := place{offset: b.opens, before: b.covers, broken: b.broken}
	// A snapshot's record stands behind the pages that it covers, so pages
	// before it are read too: their command ids are still remembered.
	if offset, before, ok := b.applied.oldest(); ok && offset < at.offset {
		at.offset, at.before = offset, before
	}
	return at
}

// footprint is about what the book takes in memory, in bytes.
func (b *Book) footprint() int {
	const fixed = 300 // the struct and its places in two maps
	return fixed + cap(b.snapshot) + cap(b.pages) + b.applied.footprint()
}
