package snapshots

import (
	"sync"

	"github.com/angzarr/angzarr-kafka/log"
)

// Books are the open books of the partitions that a worker owns. What has room
// stays in memory; of what had to leave, least recently used first, the place in
// the log is remembered.
type Books struct {
	limit  int
	shelf  *Shelf // nil: what leaves memory is only in the log
	domain log.Domain

	mu         sync.Mutex
	used       int
	partitions map[int32]*partition
	ring       Book // the least recently used is ring.next
	evictions  int64
}

// partition holds the books of one partition, from Restore to Drop.
type partition struct {
	inMemory map[log.Root]*Book
	left     map[log.Root]place // roots whose books had to leave; nil with a shelf
	restored bool               // folded to the end

	keeper *keeper // nil without a shelf
	needed int64   // how far the shelf must be complete to have every book that is not in memory
}

// place is where in the log a book that left memory begins.
type place struct {
	offset int64  // of the first record that is needed
	before uint32 // the number of the page before it
	broken error  // why the book can't be used, if it can't: reading it again may not tell
}

// NewBooks keeps at most limit bytes in memory, those in use apart.
func NewBooks(limit int) *Books {
	b := &Books{limit: limit, partitions: make(map[int32]*partition)}
	b.ring.prev, b.ring.next = &b.ring, &b.ring
	return b
}

// Acquire gives the root's book, which stays in memory until Release. It is nil
// if the book has to be loaded first. The partition must have been restored.
func (b *Books) Acquire(partition int32, root log.Root) *Book {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.partitions[partition]
	if in == nil || !in.restored {
		panic("snapshots: a book of a partition that was not restored")
	}
	book := in.inMemory[root]
	if book == nil {
		if _, elsewhere := in.left[root]; elsewhere || in.keeper != nil {
			return nil
		}
		book = b.insert(in, &Book{root: root, partition: partition})
	}
	book.pins++
	b.touch(book)
	return book
}

// Release ends an Acquire. The book is weighed anew: it may have grown.
func (b *Books) Release(book *Book) {
	b.mu.Lock()
	defer b.mu.Unlock()
	book.pins--
	if book.in == nil {
		return // its partition was dropped meanwhile
	}
	if book.pins == 0 && book.blank() {
		b.remove(book) // nothing came of it
		return
	}
	b.weigh(book)
	b.evict()
}

// Drop forgets a partition. The context of what is still restored or loaded for
// it must have ended before: it will add nothing more.
func (b *Books) Drop(partition int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(partition)
}

// Broken says which books of a partition can't be used, and why.
func (b *Books) Broken(partition int32) (why []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.partitions[partition]
	if in == nil {
		return nil
	}
	for _, book := range in.inMemory {
		if book.broken != nil {
			why = append(why, book.broken)
		}
	}
	for _, at := range in.left {
		if at.broken != nil {
			why = append(why, at.broken)
		}
	}
	return why
}

// free is how much memory the books leave of what they may take.
func (b *Books) free() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limit - b.used
}

// Usage is how many books are in memory, how many bytes they take, how many
// roots have left it, and how often a book had to leave so far.
type Usage struct {
	Books, Bytes, Left int
	Evictions          int64
}

// Usage tells what the books take.
func (b *Books) Usage() Usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	u := Usage{Bytes: b.used, Evictions: b.evictions}
	for _, in := range b.partitions {
		u.Books += len(in.inMemory)
		u.Left += len(in.left)
	}
	return u
}

// The rest is called with mu held.

func (b *Books) drop(partition int32) {
	in := b.partitions[partition]
	if in == nil {
		return
	}
	for _, book := range in.inMemory {
		b.remove(book)
	}
	if in.keeper != nil {
		in.keeper.close()
	}
	delete(b.partitions, partition)
}

func (b *Books) insert(in *partition, book *Book) *Book {
	book.in = in
	in.inMemory[book.root] = book
	book.prev, book.next = b.ring.prev, &b.ring
	book.prev.next, book.next.prev = book, book
	b.weigh(book)
	return book
}

func (b *Books) remove(book *Book) {
	delete(book.in.inMemory, book.root)
	book.in = nil
	book.prev.next, book.next.prev = book.next, book.prev
	book.prev, book.next = nil, nil
	b.used -= book.size
}

func (b *Books) touch(book *Book) {
	book.prev.next, book.next.prev = book.next, book.prev
	book.prev, book.next = b.ring.prev, &b.ring
	book.prev.next, book.next.prev = book, book
}

func (b *Books) weigh(book *Book) {
	size := book.footprint()
	b.used += size - book.size
	book.size = size
}

// mostSkipped bounds how many books are passed over that are not on the shelf yet.
const mostSkipped = 256

// evict makes room. What is in use stays, even over the limit. What the shelf
// does not have yet leaves last: reading it back would take the log, too.
func (b *Books) evict() {
	skipped := 0
	for book := b.ring.next; b.used > b.limit && book != &b.ring && skipped < mostSkipped; {
		next := book.next
		switch k := book.in.keeper; {
		case book.pins > 0:
		case k != nil && book.changed > k.settled.Load():
			skipped++
		default:
			b.leave(book)
		}
		book = next
	}
	if skipped == 0 {
		return
	}
	for book := b.ring.next; b.used > b.limit && book != &b.ring; {
		next := book.next
		if book.pins == 0 {
			b.leave(book)
		}
		book = next
	}
}

func (b *Books) leave(book *Book) {
	in := book.in
	if in.keeper != nil {
		in.needed = max(in.needed, book.changed)
	} else {
		in.left[book.root] = book.place()
	}
	b.remove(book)
	b.evictions++
}
