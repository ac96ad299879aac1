package snapshots

import (
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
)

// mostRow is how large a row may become; Redis refuses 512 MiB.
const mostRow = 256 << 20

// bounds are those of a rebuild.
type bounds struct {
	// What is written at once, and so for how long Redis does nothing else.
	changes, bytes int
	// What is known of rows, which takes 20 MiB at the most: rows, and stubs of
	// pages in them.
	rows, stubs int
	// By how much memory is taken for what is folded, and how much there is in any
	// case; else it is what books leave.
	chunk, fold int
}

var usualBounds = bounds{changes: 2500, bytes: 512 << 10, rows: 300_000, stubs: 120_000, chunk: 1 << chunkBits, fold: 4 << 20}

// rebuild is what a writer knows of a shelf that it writes from the log's start. No
// mark names that shelf before all of it is written, so nobody else writes to it, and
// a row that it has not written isn't there. So it needs nobody to look at what is
// stored, and Redis gets plain commands, which take it less than a third of what the
// script takes. What it doesn't know goes to the script.
type rebuild struct {
	keys      keys
	partition int32
	shelf     shelfID
	bounds    bounds
	memory    *holding
	at        map[log.Root]uint32 // where a root's row is among the rows
	rows      []row
	stubs     stack

	// Of the batch that was planned last; used again for the next one.
	edits   []edit
	pages   []byte
	history []byte
	planned batch
}

// rowSize is about what it takes to know a row.
const rowSize = 56

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

func newRebuild(k keys, partition int32, b bounds, m *holding) *rebuild {
	return &rebuild{
		keys: k, partition: partition, shelf: newShelfID(), bounds: b, memory: m,
		at: make(map[log.Root]uint32), stubs: stack{most: b.stubs},
	}
}

// plan says how the fold's books from one on are written, as many as fit into a
// batch, each as write.lua would. It gives the next book. The batch is good until the
// next one is planned.
func (r *rebuild) plan(f *fold, from int) (b *batch, next int) {
	b = &r.planned
	b.begin(r.keys)
	r.edits, r.pages = slices.Grow(r.edits[:0], r.bounds.changes), r.pages[:0]
	rows := len(r.rows)
	changes, bytes := 0, 0
	more := func() bool { return changes < r.bounds.changes && bytes < r.bounds.bytes }
	for next = from; next < len(f.books) && more(); {
		book := &f.books[next]
		r.edits = append(r.edits, edit{root: book.root, pages: r.room(book)})
		e := &r.edits[len(r.edits)-1]
		for book.next != none && more() {
			c := changeOfEntry(book.root, f.take(book))
			e.add(r.partition, &c)
			changes++
			bytes += len(c.entry)
		}
		through := book.next == none
		if r.put(b, e, through && f.last); through {
			next++
		}
	}
	r.memory.knows((len(r.rows) - rows) * rowSize)
	return b, next
}

// room is where the pages of a book that has several are put together.
func (r *rebuild) room(book *folded) []byte {
	size := int(book.size)
	if book.next == book.last || size > r.bounds.bytes {
		return nil
	}
	if cap(r.pages)-len(r.pages) < size {
		r.pages = make([]byte, 0, 2*r.bounds.bytes)
	}
	at := len(r.pages)
	r.pages = r.pages[:at+size]
	return r.pages[at : at : at+size]
}

// put adds what an edit does to the batch. Of what nothing follows nothing needs to
// be known.
func (r *rebuild) put(b *batch, e *edit, final bool) {
	at, known := r.at[e.root]
	if !known && len(r.rows) >= r.bounds.rows {
		b.asked = append(b.asked, e) // it may be there
		return
	}
	var is row
	if known {
		is = r.rows[at]
	}
	if is.state == rowAsked || is.state == rowLong && e.snapshot != nil && !e.fresh {
		b.asked = append(b.asked, e)
		is = row{state: rowAsked}
	} else {
		is = r.write(b, e, is, final)
	}
	switch {
	case known:
		r.rows[at] = is
	case !final:
		r.at[e.root] = uint32(len(r.rows))
		r.rows = append(r.rows, is)
	}
}

// write adds what makes of the old row the new one.
func (r *rebuild) write(b *batch, e *edit, old row, final bool) row {
	switch {
	case !e.lost && !e.fresh && old.state == rowLost:
		return old
	case e.lost, !e.fresh && e.after != old.last, int(old.size)+e.size() > mostRow:
		b.lost++
		b.set(bookKey, e.root, r.shelf[:], []byte{kindLost})
		b.deletes = append(b.deletes, r.keys.history(e.root))
		r.stubs.drop(old.stubs)
		return row{state: rowLost}
	case e.fresh:
		if old.covers > 0 {
			b.deletes = append(b.deletes, r.keys.history(e.root))
		}
		r.stubs.drop(old.stubs)
		old = row{}
	}
	now := row{last: e.last, covers: old.covers, size: old.size + uint32(e.size()), state: max(old.state, rowKnown)}
	if e.snapshot == nil && old.state != rowNone {
		b.append(bookKey, e.root, e.pages)
		now.stubs = old.stubs
		r.remember(&now, e.pages, final)
		return now
	}
	r.history = r.stubs.take(r.history[:0], old.stubs)
	for stub := range eachStub(e.covered) {
		r.history = append(r.history, stub...)
	}
	if covered := r.history; len(covered) > 0 {
		if old.covers == 0 {
			b.set(historyKey, e.root, r.shelf[:], covered)
		} else {
			b.append(historyKey, e.root, covered)
		}
		now.covers += uint32(len(covered) / stubSize)
	}
	b.set(bookKey, e.root, r.shelf[:], e.snapshot, e.pages)
	now.size = uint32(idSize + len(e.snapshot) + len(e.pages))
	r.remember(&now, e.pages, final)
	return now
}

// remember keeps the stubs of pages that were added to a row, if there is room.
func (r *rebuild) remember(now *row, pages []byte, final bool) {
	if now.state != rowKnown || final {
		return
	}
	var ok bool
	if now.stubs, ok = r.stubs.push(now.stubs, pages); !ok {
		r.stubs.drop(now.stubs)
		now.state, now.stubs = rowLong, 0
	}
}
