package snapshots

import (
	"crypto/sha256"
	"iter"
	"math"
	"time"
)

const (
	// rememberFor and rememberLast say how long a command's id is known: for
	// both, whichever is longer.
	rememberFor  = 15 * time.Minute
	rememberLast = 128

	// indexFrom is how many ids are looked through one by one.
	indexFrom = 1024
)

// digest stands for a command's id, which may be any string.
type digest [16]byte

func digestOf(commandID string) digest {
	if commandID == "" {
		return digest{}
	}
	sum := sha256.Sum256([]byte(commandID))
	return digest(sum[:16])
}

// short is as much of a digest as one root's commands need to be told apart.
type short [10]byte

func (d digest) short() short { return short(d[:len(short{})]) }

// application is a command that was applied: where the pages that it led to
// begin. They end where the next one's begin. There are many of these in memory.
type application struct {
	id     short // zero: pages that nobody of ours wrote
	high   uint16
	first  uint32
	at     uint32 // seconds since 1970
	offset uint32 // of the first page; high is what doesn't fit
}

func (a *application) foreign() bool { return a.id == short{} }

func (a *application) firstOffset() int64 { return int64(a.high)<<32 | int64(a.offset) }

// window remembers the commands that a book's last pages came from, in order.
type window struct {
	commands []application
	foreign  int              // how many of them are nobody's
	last     uint32           // the last one's last page
	index    map[short]uint32 // the first pages, once there are many
}

// add takes in a page that a command led to, of which no digest means that
// nobody of ours wrote it. at is in seconds since 1970.
func (w *window) add(id digest, sequence uint32, offset, at int64) {
	at = min(max(at, 0), math.MaxUint32)
	w.take(application{
		id: id.short(), first: sequence, at: uint32(at), offset: uint32(offset), high: uint16(offset >> 32),
	}, sequence)
}

// take adds what led to the pages up to last.
func (w *window) take(a application, last uint32) {
	n := len(w.commands)
	if n == 0 && a.foreign() {
		return
	}
	w.last = last
	if n > 0 && w.commands[n-1].id == a.id {
		return
	}
	w.forget(a.at)
	w.grow()
	w.commands = append(w.commands, a)
	if a.foreign() {
		w.foreign++
		return
	}
	switch n := len(w.commands); {
	case w.index != nil:
		w.index[a.id] = a.first
	case n > indexFrom:
		w.index = make(map[short]uint32, 2*n)
		for _, a := range w.commands {
			w.index[a.id] = a.first
		}
	}
}

// grow makes room for one more, and for not many more than that: there are as
// many windows as books.
func (w *window) grow() {
	if n := len(w.commands); n == cap(w.commands) {
		w.commands = append(make([]application, 0, n+n/4+2), w.commands...)
	}
}

// forget drops what is both too old and too far back.
func (w *window) forget(now uint32) {
	known, n := len(w.commands)-w.foreign, 0
	for ; n < len(w.commands); n++ {
		a := &w.commands[n]
		if a.foreign() && n > 0 {
			w.foreign--
			continue // the first is always a command
		}
		if known <= rememberLast || int64(a.at) >= int64(now)-int64(rememberFor/time.Second) {
			break
		}
		delete(w.index, a.id)
		known--
	}
	w.commands = w.commands[n:]
}

// all gives what is known, each with its last page.
func (w *window) all() iter.Seq2[application, uint32] {
	return func(yield func(application, uint32) bool) {
		for i, a := range w.commands {
			last := w.last
			if i+1 < len(w.commands) {
				last = w.commands[i+1].first - 1
			}
			if !yield(a, last) {
				return
			}
		}
	}
}

func (w *window) find(commandID string) (first, last uint32, offset int64, ok bool) {
	if commandID == "" || len(w.commands) == 0 {
		return 0, 0, 0, false
	}
	id := digestOf(commandID).short()
	if w.index != nil {
		if _, known := w.index[id]; !known {
			return 0, 0, 0, false
		}
	}
	last = w.last
	for i := len(w.commands) - 1; i >= 0; i-- {
		a := &w.commands[i]
		if a.id == id {
			return a.first, last, a.firstOffset(), true
		}
		last = a.first - 1
	}
	return 0, 0, 0, false
}

// oldest is the offset of the first page that is needed to know the same again.
func (w *window) oldest() (offset int64, before uint32, ok bool) {
	if len(w.commands) == 0 {
		return 0, 0, false
	}
	return w.commands[0].firstOffset(), w.commands[0].first - 1, true
}

// oldestPage is the first page of the first command that is known, 0 if none is.
func (w *window) oldestPage() uint32 {
	if len(w.commands) == 0 {
		return 0
	}
	return w.commands[0].first
}

func (w *window) footprint() int {
	const entry, indexed = 24, 32
	return cap(w.commands)*entry + len(w.index)*indexed
}
