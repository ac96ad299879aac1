package snapshots

import (
	"encoding/binary"

	"github.com/angzarr/angzarr-kafka/log"
)

// fold is what a stretch of the log does to books, by book: a rebuild writes each of
// them once then, however far apart its pages lie. Entries stand in chunks, and each
// leads to the next one of its book. But for the chunks themselves there are no
// pointers, as there are many books.
type fold struct {
	last   bool                // nothing comes after it
	upTo   int64               // all of the log before it is in it, or in folds before it
	at     map[log.Root]uint32 // where a root's book is among the books
	books  []folded
	chunks []chunk
	weight int     // what books took when it was weighed last
	done   []int32 // the chunks of entries that are in a batch now
}

// folded is a book of a fold.
type folded struct {
	root log.Root
	next spot // its first entry that isn't written yet, none if all are
	last spot
	size uint32 // of these entries
}

// spot is where an entry stands: its chunk, and where in it.
type spot uint32

const (
	chunkBits  = 18 // a chunk's usual size is 1 << chunkBits
	mostChunks = 1 << (32 - chunkBits)
	linkSize   = 4 // of the spot of the next entry, before each entry
	none       = spot(0)
	// foldedSize is about what a book takes beside its entries.
	foldedSize = 64
)

func (s spot) in() (chunk, at int) { return int(s >> chunkBits), int(s & (1<<chunkBits - 1)) }

type chunk struct {
	bytes []byte
	left  int // entries that are not written yet
}

func newFold() *fold { return &fold{at: make(map[log.Root]uint32)} }

// room says whether an entry of that size has room in the last chunk.
func (f *fold) room(entry int) bool {
	if len(f.chunks) == 0 {
		return false
	}
	last := f.chunks[len(f.chunks)-1].bytes
	return len(last)+linkSize+entry <= cap(last)
}

// weigh gives by how much what books take has grown.
func (f *fold) weigh() (more int) {
	more = len(f.books)*foldedSize - f.weight
	f.weight += more
	return more
}

// add appends an entry to its book; there is room.
func (f *fold) add(root log.Root, entry []byte) {
	n := len(f.chunks) - 1
	c := &f.chunks[n]
	here := spot(n<<chunkBits | (len(c.bytes) + linkSize))
	c.bytes = append(append(c.bytes, 0, 0, 0, 0), entry...)
	c.left++
	at, known := f.at[root]
	if !known {
		f.at[root] = uint32(len(f.books))
		f.books = append(f.books, folded{root: root, next: here, last: here, size: uint32(len(entry))})
		return
	}
	book := &f.books[at]
	before, i := book.last.in()
	binary.BigEndian.PutUint32(f.chunks[before].bytes[i-linkSize:], uint32(here))
	book.last = here
	book.size += uint32(len(entry))
}

// take gives the next entry of a book, which is good until release.
func (f *fold) take(book *folded) []byte {
	n, at := book.next.in()
	bytes := f.chunks[n].bytes
	entry := bytes[at:]
	size := headSize + int(binary.BigEndian.Uint32(entry[1:])) + tailSize
	entry = entry[:size:size]
	book.size -= uint32(size)
	book.next = spot(binary.BigEndian.Uint32(bytes[at-linkSize:]))
	f.done = append(f.done, int32(n))
	return entry
}

// release lets go of the entries that were taken, and gives the chunks of which
// nothing is needed any more.
func (f *fold) release() (through [][]byte) {
	for _, n := range f.done {
		c := &f.chunks[n]
		if c.left--; c.left == 0 {
			through = append(through, c.bytes)
			c.bytes = nil
		}
	}
	f.done = f.done[:0]
	return through
}

// entryOfChange is how a change stands in a fold.
func entryOfChange(c *change) []byte {
	if c.kind == kindBroken {
		return entryOf(c.root, kindBroken, 0, c.entry)
	}
	return c.entry
}

// changeOfEntry is the reverse.
func changeOfEntry(root log.Root, e []byte) change {
	c := change{root: root, kind: e[0], sequence: binary.BigEndian.Uint32(e[len(e)-tailSize:]), entry: e}
	if c.kind == kindBroken {
		c.entry = e[headSize : len(e)-tailSize]
	} else { // a stub begins with it, too
		c.offset = int64(binary.BigEndian.Uint64(e[headSize:]))
	}
	return c
}
