package snapshots

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"
)

const (
	// rememberFor and rememberLast say how long a command's id is known: for
	// both, whichever is longer.
	rememberFor  = 15 * time.Minute
	rememberLast = 128
)

// digest stands for a command's id, which may be any string.
type digest [16]byte

func digestOf[ID string | []byte](commandID ID) digest {
	if len(commandID) == 0 {
		return digest{}
	}
	var usual [64]byte // as long as ids are, they are not copied to the heap
	sum := sha256.Sum256(append(usual[:0], commandID...))
	return digest(sum[:16])
}

// short is as much of a digest as one root's commands need to be told apart, and
// hint as much as says of almost all that they are others.
type (
	short [10]byte
	hint  uint32
)

func (d digest) short() short { return short(d[:len(short{})]) }
func (s short) hint() hint    { return hint(binary.BigEndian.Uint32(s[:])) }

// application is a command that was applied: where the pages that it led to
// begin. They end where the next one's begin.
type application struct {
	id    short // zero: pages that nobody of ours wrote
	high  uint16
	low   uint32 // with high: the offset of the first page
	first uint32
	at    uint32 // seconds since 1970
}

func (a *application) foreign() bool { return a.id == short{} }
func (a *application) offset() int64 { return int64(a.high)<<32 | int64(a.low) }

// window remembers the commands that a book's last pages came from, in order:
// the latest as they are, those before by hints, in blocks. Under a load
// that lasts, windows are most of what books take.
type window struct {
	blocks []block
	latest []application
	last   uint32          // the last one's last page
	known  int             // commands, without what is nobody's
	index  map[hint]uint32 // how often a hint stands in the blocks, once they are many
}

// windowFor has room for so many commands: as much as they will take, no more.
func windowFor(n int) (w window) {
	w.latest = make([]application, 0, min(n, 2*blockSize))
	if n > 2*blockSize {
		w.blocks = make([]block, 0, (n-1)/blockSize-1)
	}
	return w
}

// block is some commands of which the pages follow each other.
type block struct {
	hints [blockSize]hint
	count uint16
	known uint16
	high  uint16
	low   uint32 // with high: the offset of the first page
	first uint32
	at    uint32 // of its last command
}

const (
	blockSize = 32
	// indexFrom is how many blocks are looked through one by one.
	indexFrom = 64
)

func (b *block) offset() int64 { return int64(b.high)<<32 | int64(b.low) }

// Applied tells which pages a command led to. If that is not Sure, the command
// led to some of these pages or to none: the log tells, from Offset on.
type Applied struct {
	First, Last uint32
	Offset      int64
	Sure        bool
}

// add takes in a page that a command led to, of which no digest means that
// nobody of ours wrote it. at is in seconds since 1970.
func (w *window) add(id digest, sequence uint32, offset, at int64) {
	at = min(max(at, 0), math.MaxUint32)
	w.take(application{
		id: id.short(), high: uint16(offset >> 32), low: uint32(offset), first: sequence, at: uint32(at),
	}, sequence)
}

// take adds what led to the pages up to last.
func (w *window) take(a application, last uint32) {
	n := len(w.latest)
	if n == 0 && a.foreign() && len(w.blocks) == 0 {
		return
	}
	w.last = last
	if n > 0 && w.latest[n-1].id == a.id {
		return
	}
	w.forget(a.at)
	if n == 2*blockSize {
		w.pack(blockSize)
		n = len(w.latest)
	}
	if n == cap(w.latest) { // there are as many windows as books
		w.latest = append(make([]application, 0, min(n+n/4+2, 2*blockSize)), w.latest...)
	}
	w.latest = append(w.latest, a)
	if !a.foreign() {
		w.known++
	}
}

// pack puts the first of the latest into a block.
func (w *window) pack(n int) {
	if n == 0 {
		return
	}
	a := &w.latest[0]
	b := block{count: uint16(n), high: a.high, low: a.low, first: a.first, at: w.latest[n-1].at}
	for i := range w.latest[:n] {
		a := &w.latest[i]
		if b.hints[i] = a.id.hint(); !a.foreign() {
			b.known++
		}
	}
	w.latest = append(w.latest[:0], w.latest[n:]...)
	w.append(b)
}

func (w *window) append(b block) {
	w.blocks = append(w.blocks, b)
	switch {
	case w.index != nil:
		w.count(&b, 1)
	case len(w.blocks) > indexFrom:
		w.index = make(map[hint]uint32, 2*len(w.blocks)*blockSize)
		for i := range w.blocks {
			w.count(&w.blocks[i], 1)
		}
	}
}

func (w *window) count(b *block, by int32) {
	for _, p := range b.hints[:b.count] {
		if n := w.index[p] + uint32(by); n > 0 {
			w.index[p] = n
		} else {
			delete(w.index, p)
		}
	}
}

// forget drops the blocks that are both too old and too far back.
func (w *window) forget(now uint32) {
	for len(w.blocks) > 0 {
		b := &w.blocks[0]
		if w.known-int(b.known) < rememberLast || int64(b.at) >= int64(now)-int64(rememberFor/time.Second) {
			return
		}
		if w.index != nil {
			w.count(b, -1)
		}
		w.known -= int(b.known)
		w.blocks = w.blocks[1:]
	}
}

// join adds a window of later pages.
func (w *window) join(later *window) {
	if len(later.blocks) == 0 {
		for i, a := range later.latest {
			last := later.last
			if i+1 < len(later.latest) {
				last = later.latest[i+1].first - 1
			}
			w.take(a, last)
		}
		return
	}
	for len(w.latest) > 0 {
		w.pack(min(len(w.latest), blockSize))
	}
	for i := range later.blocks {
		w.forget(later.blocks[i].at)
		w.append(later.blocks[i])
		w.known += int(later.blocks[i].known)
	}
	w.latest, w.last = later.latest, later.last
	for i := range w.latest {
		if !w.latest[i].foreign() {
			w.known++
		}
	}
}

func (w *window) find(commandID string) (found Applied, ok bool) {
	if commandID == "" || w.known == 0 {
		return Applied{}, false
	}
	id := digestOf(commandID).short()
	last := w.last
	for i := len(w.latest) - 1; i >= 0; i-- {
		a := &w.latest[i]
		if a.id == id {
			return Applied{First: a.first, Last: last, Offset: a.offset(), Sure: true}, true
		}
		last = a.first - 1
	}
	p := id.hint()
	if w.index != nil && w.index[p] == 0 {
		return Applied{}, false
	}
	for i := len(w.blocks) - 1; i >= 0; i-- {
		b := &w.blocks[i]
		if b.has(p) {
			if !ok {
				found.Last, ok = last, true
			}
			found.First, found.Offset = b.first, b.offset()
		}
		last = b.first - 1
	}
	return found, ok
}

func (b *block) has(p hint) bool {
	for i := range b.count {
		if b.hints[i] == p {
			return true
		}
	}
	return false
}

// oldest is the offset of the first page that is needed to know the same again,
// and the number of the page before it.
func (w *window) oldest() (offset int64, before uint32, ok bool) {
	switch {
	case len(w.blocks) > 0:
		return w.blocks[0].offset(), w.blocks[0].first - 1, true
	case len(w.latest) > 0:
		return w.latest[0].offset(), w.latest[0].first - 1, true
	}
	return 0, 0, false
}

func (w *window) footprint() int {
	const latest, packed, indexed = 24, 148, 16
	return cap(w.latest)*latest + cap(w.blocks)*packed + len(w.index)*indexed
}
