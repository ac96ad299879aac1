package snapshots

import (
	"github.com/angzarr/angzarr-kafka/log"
)

// mostRow is how large a row may become; Redis refuses 512 MiB.
const mostRow = 256 << 20

// bounds are those of a rebuild.
type bounds struct {
	// What is written at once, and so for how long Redis does nothing else.
	changes, bytes int
	// What is known of rows, which takes 20 MiB at the most: rows, and stubs of
	// pages in them. Two rebuilds go on at a time.
	rows, stubs int
}

var usualBounds = bounds{changes: 2500, bytes: 512 << 10, rows: 300_000, stubs: 120_000}

// rebuild is what a writer knows of a shelf whose mark stood at the log's start
// when it began: a row that it has not written isn't there. So it needs nobody to
// look at what is stored, and Redis gets plain commands, which take it less than a
// third of what the script takes. What it doesn't know goes to the script.
type rebuild struct {
	keys  keys
	shelf shelfID
	rows  map[log.Root]row
	stubs stack

	mostRows int
}

// row is what stands on the shelf of one root. Neither it nor its stubs are or hold
// pointers, as there are many of them.
type row struct {
	last   uint32
	covers uint32 // the pages in its history
	size   uint32
	stubs  uint32 // of the pages that are in the row, if they are known
	state  rowState
}

type rowState byte

const (
	rowNone rowState = iota
	rowKnown
	rowLong  // known, but for its stubs
	rowAsked // a script wrote it: only Redis knows what it is
	rowLost  // given up: it stays so until it begins anew
)

func newRebuild(k keys, shelf shelfID, b bounds) *rebuild {
	return &rebuild{keys: k, shelf: shelf, rows: make(map[log.Root]row), mostRows: b.rows, stubs: stack{most: b.stubs}}
}

// batch is written at once, or not at all. No key is in it twice.
type batch struct {
	sets    []any // key and value, by turns
	appends []appended
	deletes []string
	asked   []*edit // what needs a look at what is stored
	lost    int     // books that are given up without one
}

type appended struct {
	key   string
	value []byte
}

func (b *batch) set(key string, value []byte) { b.sets = append(b.sets, key, value) }

func (b *batch) append(key string, value []byte) {
	b.appends = append(b.appends, appended{key, value})
}

// plan says how edits are written, each root's as write.lua would.
func (r *rebuild) plan(edits []*edit) (b batch) {
	b.sets = make([]any, 0, len(edits))
	for _, e := range edits {
		old, known := r.rows[e.root]
		switch {
		case !known && len(r.rows) >= r.mostRows:
			b.asked = append(b.asked, e) // it may be there
		case old.state == rowAsked, old.state == rowLong && e.snapshot != nil && !e.fresh:
			b.asked = append(b.asked, e)
			r.rows[e.root] = row{state: rowAsked}
		default:
			r.rows[e.root] = r.write(&b, e, old)
		}
	}
	return b
}

// write adds what makes of the old row the new one.
func (r *rebuild) write(b *batch, e *edit, old row) row {
	book, history := r.keys.book(e.root), r.keys.history(e.root)
	switch {
	case !e.lost && !e.fresh && old.state == rowLost:
		return old
	case e.lost, !e.fresh && e.after != old.last, int(old.size)+e.size() > mostRow:
		b.lost++
		b.set(book, append(r.shelf[:], kindLost))
		b.deletes = append(b.deletes, history)
		r.stubs.take(old.stubs)
		return row{state: rowLost}
	case e.fresh:
		if old.covers > 0 {
			b.deletes = append(b.deletes, history)
		}
		r.stubs.take(old.stubs)
		old = row{}
	}
	now := row{last: e.last, covers: old.covers, size: old.size + uint32(e.size()), state: max(old.state, rowKnown)}
	if e.snapshot == nil && old.state != rowNone {
		b.append(book, e.pages)
		now.stubs = old.stubs
		r.remember(&now, e.pages)
		return now
	}
	if covered := append(r.stubs.take(old.stubs), stubsOf(e.covered)...); len(covered) > 0 {
		if old.covers == 0 {
			b.set(history, append(r.shelf[:], covered...))
		} else {
			b.append(history, covered)
		}
		now.covers += uint32(len(covered) / stubSize)
	}
	value := make([]byte, 0, idSize+len(e.snapshot)+len(e.pages))
	value = append(append(append(value, r.shelf[:]...), e.snapshot...), e.pages...)
	b.set(book, value)
	now.size = uint32(len(value))
	r.remember(&now, e.pages)
	return now
}

// remember keeps the stubs of pages that were added to a row, if there is room.
func (r *rebuild) remember(now *row, pages []byte) {
	if now.state != rowKnown {
		return
	}
	var ok bool
	if now.stubs, ok = r.stubs.push(now.stubs, pages); !ok {
		r.stubs.take(now.stubs)
		now.state, now.stubs = rowLong, 0
	}
}
