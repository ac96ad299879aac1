package snapshots

import (
	"crypto/sha256"
	"time"
)

const (
	// rememberFor and rememberLast say how long a command's id is known: for
	// both, whichever is longer.
	rememberFor  = 15 * time.Minute
	rememberLast = 128

	// indexFrom is how many ids are looked through one by one.
	indexFrom = 64
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

// application is a command that was applied: the pages that it led to.
type application struct {
	id          digest
	first, last uint32
	offset      int64 // of the first page
	at          int64 // seconds since 1970
}

// window remembers the commands that a book's last pages came from, in order.
type window struct {
	commands []application
	index    map[digest]uint32 // the first pages, once there are many
}

// add takes in a page that a command led to, of which no digest means that
// nobody of ours wrote it. at is in seconds since 1970.
func (w *window) add(id digest, sequence uint32, offset, at int64) {
	if id == (digest{}) {
		return
	}
	if n := len(w.commands); n > 0 && w.commands[n-1].id == id {
		w.commands[n-1].last = sequence
		return
	}
	w.forget(at)
	w.commands = append(w.commands, application{id, sequence, sequence, offset, at})
	switch n := len(w.commands); {
	case w.index != nil:
		w.index[id] = sequence
	case n > indexFrom:
		w.index = make(map[digest]uint32, 2*n)
		for _, a := range w.commands {
			w.index[a.id] = a.first
		}
	}
}

// forget drops what is both too old and too far back.
func (w *window) forget(now int64) {
	n := 0
	for len(w.commands)-n > rememberLast && w.commands[n].at < now-int64(rememberFor/time.Second) {
		delete(w.index, w.commands[n].id)
		n++
	}
	w.commands = w.commands[n:]
}

func (w *window) find(commandID string) (first, last uint32, offset int64, ok bool) {
	if commandID == "" || len(w.commands) == 0 {
		return 0, 0, 0, false
	}
	id := digestOf(commandID)
	if w.index != nil {
		if _, known := w.index[id]; !known {
			return 0, 0, 0, false
		}
	}
	for i := len(w.commands) - 1; i >= 0; i-- {
		if a := w.commands[i]; a.id == id {
			return a.first, a.last, a.offset, true
		}
	}
	return 0, 0, 0, false
}

// oldest is the offset of the first page that is needed to know the same again.
func (w *window) oldest() (offset int64, before uint32, ok bool) {
	if len(w.commands) == 0 {
		return 0, 0, false
	}
	return w.commands[0].offset, w.commands[0].first - 1, true
}

// oldestPage is the first page of the first command that is known, 0 if none is.
func (w *window) oldestPage() uint32 {
	if len(w.commands) == 0 {
		return 0
	}
	return w.commands[0].first
}

func (w *window) footprint() int {
	const entry, indexed = 40, 32
	return cap(w.commands)*entry + len(w.index)*indexed
}
