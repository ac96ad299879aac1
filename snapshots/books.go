package snapshots

import (
	"sync"

	"github.com/angzarr/angzarr-kafka/log"
)

// Books are the open books of the partitions that a worker owns. What has room
// stays in memory; of what had to leave, least recently used first, the place in
// the log is remembered.
type Books struct {
	limit int

	mu         sync.Mutex
	used       int
	inMemory   map[log.Root]*Book
	left       map[log.Root]place // roots whose books had to leave
	partitions map[int32]bool     // true once folded to the end
	ring       Book               // the least recently used is ring.next
	evictions  int64
}

// place is where in the log a book that left memory begins.
type place struct {
	partition int32
	offset    int64  // of the first record that is needed
	before    uint32 // the number of the page before it
}

// NewBooks keeps at most limit bytes in memory, those in use apart.
func NewBooks(limit int) *Books {
	b := &Books{
		limit:      limit,
		inMemory:   make(map[log.Root]*Book),
		left:       make(map[log.Root]place),
		partitions: make(map[int32]bool),
	}
	b.ring.prev, b.ring.next = &b.ring, &b.ring
	return b
}

// Acquire gives the root's book, which stays in memory until Release. It is nil
// if the book has to be loaded first. The partition must have been restored.
func (b *Books) Acquire(partition int32, root log.Root) *Book {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.partitions[partition] {
		panic("snapshots: a book of a partition that was not restored")
	}
	book := b.inMemory[root]
	if book == nil {
		if _, elsewhere := b.left[root]; elsewhere {
			return nil
		}
		book = b.insert(&Book{root: root, partition: partition})
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
	if b.inMemory[book.root] != book {
		return // its partition was dropped meanwhile
	}
	if book.pins == 0 && book.last == 0 {
		b.remove(book) // nothing came of it
		return
	}
	b.weigh(book)
	b.evict()
}

// Drop forgets a partition.
func (b *Books) Drop(partition int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.partitions, partition)
	for _, book := range b.inMemory {
		if book.partition == partition {
			b.remove(book)
		}
	}
	for root, place := range b.left {
		if place.partition == partition {
			delete(b.left, root)
		}
	}
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
	return Usage{len(b.inMemory), b.used, len(b.left), b.evictions}
}

// The rest is called with mu held.

func (b *Books) insert(book *Book) *Book {
	b.inMemory[book.root] = book
	book.prev, book.next = b.ring.prev, &b.ring
	book.prev.next, book.next.prev = book, book
	b.weigh(book)
	return book
}

func (b *Books) remove(book *Book) {
	delete(b.inMemory, book.root)
	book.prev.next, book.next.prev = book.next, book.prev
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

// evict makes room. What is in use stays, even over the limit.
func (b *Books) evict() {
	for book := b.ring.next; b.used > b.limit && book != &b.ring; {
		next := book.next
		if book.pins == 0 {
			b.left[book.root] = book.place()
			b.remove(book)
			b.evictions++
		}
		book = next
	}
}

// place is where a reader has to begin to make the same book again.
func (b *Book) place() place {
	at := place{partition: b.partition, offset: b.opens, before: b.covers}
	if b.erased {
		return at
	}
	// A snapshot's record stands behind the pages that it covers, so pages
	// before it are read too: their command ids are still remembered.
	if offset, before, ok := b.applied.oldest(); ok && offset < at.offset {
		at.offset, at.before = offset, before
	} else if b.covers > 0 {
		at.before = b.covers
	}
	return at
}
