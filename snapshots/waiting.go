package snapshots

import (
	"sort"
	"sync"

	"github.com/angzarr/angzarr-kafka/log"
)

const (
	// batchBytes and batchChanges bound what is written at once: Redis does
	// nothing else meanwhile.
	batchBytes   = 512 << 10
	batchChanges = 2000

	// mostMended bounds the books that wait to be mended; none of them may be
	// larger than a batch.
	mostMended = 64

	changeSize = 80 // of a change in memory, without its entry
)

// waiting is what a partition's owner has committed and not yet written to the
// shelf: every change from an offset on. When there is no room, or it is
// forgotten otherwise, that offset moves up, and the log has the rest.
type waiting struct {
	shelf  *Shelf
	counts counts
	some   chan struct{} // holds one when something waits

	mu      sync.Mutex
	changes []change
	bytes   int64
	from    int64 // every change from here on waits
	to      int64 // past the last change that is known
	closed  bool
	// mended are whole books that the log was asked for, as the shelf has lost
	// them; nothing of theirs waits.
	mended map[log.Root]mending
}

// mending is a book as the log has it, up to and with the last change of it.
type mending struct {
	edit    *edit
	changed int64 // past that change
}

// add takes a change in, in the order of the log.
func (w *waiting) add(c change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.to = c.offset + 1
	delete(w.mended, c.root)
	size := int64(len(c.entry) + changeSize)
	if w.shelf.waiting.Add(size) > w.shelf.room {
		w.shelf.waiting.Add(-size)
		w.counts.noRoom(len(w.changes) + 1)
		w.forget()
		return
	}
	w.changes = append(w.changes, c)
	w.bytes += size
	signal(w.some)
}

// upTo is past the last change that is known.
func (w *waiting) upTo() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to
}

// forget lets go of all that waits. Called with mu held.
func (w *waiting) forget() {
	w.shelf.waiting.Add(-w.bytes)
	w.changes, w.bytes, w.from = nil, 0, w.to
}

// trim lets go of what is on the shelf, and gives the next batch. missing says
// that the log has to be read first, as changes between the mark and what waits
// are not there.
func (w *waiting) trim(mark int64) (batch []change, missing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := sort.Search(len(w.changes), func(i int) bool { return w.changes[i].offset >= mark })
	w.drop(n)
	if mark < w.from {
		return nil, true
	}
	w.from = mark
	w.to = max(w.to, mark)
	w.counts.behind(w.to-mark, w.shelf.waiting.Load())
	size := 0
	for n = 0; n < len(w.changes) && n < batchChanges && size < batchBytes; n++ {
		size += len(w.changes[n].entry)
	}
	return w.changes[:n:n], false
}

// drop lets go of the first changes. Called with mu held.
func (w *waiting) drop(n int) {
	if n == 0 {
		return
	}
	size := int64(0)
	for i := range w.changes[:n] {
		size += int64(len(w.changes[i].entry) + changeSize)
	}
	w.shelf.waiting.Add(-size)
	w.bytes -= size
	if w.changes = w.changes[n:]; len(w.changes) == 0 {
		w.changes = nil
	}
}

// mend takes in a whole book of which nothing is under way.
func (w *waiting) mend(root log.Root, m mending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.changes {
		if w.changes[i].root == root {
			return // it stays lost until it is read again
		}
	}
	if w.mended == nil {
		w.mended = make(map[log.Root]mending)
	}
	if w.closed || len(w.mended) >= mostMended || m.edit.size() > batchBytes {
		return
	}
	w.mended[root] = m
	signal(w.some)
}

// takeMended gives books that are not ahead of the mark. Nothing may wait.
func (w *waiting) takeMended(mark int64) (edits []*edit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.changes) > 0 {
		return nil
	}
	size := 0
	for root, m := range w.mended {
		if m.changed <= mark && size < batchBytes {
			edits = append(edits, m.edit)
			size += m.edit.size()
			delete(w.mended, root)
		}
	}
	return edits
}

func (w *waiting) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget()
	w.closed, w.mended = true, nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
