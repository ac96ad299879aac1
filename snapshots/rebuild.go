package snapshots

import (
	"encoding/binary"

	"github.com/angzarr/angzarr-kafka/log"
)

// mostRow is how large a row may become; Redis refuses 512 MiB.
const mostRow = 256 << 20

// bounds are those of a rebuild.
type bounds struct {
	// What is written at once, and so for how long Redis does nothing else.
	changes, bytes int
	// What is known of rows, which takes 20 MiB at the most: rows, and bytes of
	// stubs. Two rebuilds go on at a time.
	rows, stubs int
}

var usualBounds = bounds{changes: 4000, bytes: 1 << 20, rows: 200_000, stubs: 4 << 20}

// rebuild is what a writer knows of a shelf whose mark stood at the log's start
// when it began: a row that it has not written isn't there. So it needs nobody to
// look at what is stored, and Redis gets plain commands, which take it less than a
// third of what the script takes. What it doesn't know goes to the script.
type rebuild struct {
	keys  keys
	shelf shelfID
	rows  map[log.Root]row

	mostRows  int
	roomStubs int
}

// row is what stands on the shelf of one root.
type row struct {
	last   uint32
	covers uint32 // the pages in its history
	size   int
	state  rowState
	stubs  string // of the pages that are in the row, if it is known
}

type rowState byte

const (
	rowNone rowState = iota
	rowKnown
	rowLong  // known, but for its stubs
	rowAsked // a script wrote it: only Redis knows what it is
	rowLost  // given up: it stays so until it begins anew
)

// redisCommand is a plain one of Redis.
type redisCommand struct {
	name, key string
	value     []byte // of SET and APPEND
}

func newRebuild(k keys, shelf shelfID, b bounds) *rebuild {
	return &rebuild{keys: k, shelf: shelf, rows: make(map[log.Root]row), mostRows: b.rows, roomStubs: b.stubs}
}

// batch is written at once, or not at all.
type batch struct {
	plain []redisCommand
	asked []*edit // what needs a look at what is stored
	lost  int     // books that plain commands give up
}

// plan says how edits are written, each root's as write.lua would.
func (r *rebuild) plan(edits []*edit) (b batch) {
	b.plain = make([]redisCommand, 0, len(edits)+len(edits)/4)
	for _, e := range edits {
		old, known := r.rows[e.root]
		switch {
		case !known && len(r.rows) >= r.mostRows:
			b.asked = append(b.asked, e) // it may be there
			continue
		case old.state == rowAsked, old.state == rowLong && e.snapshot != nil && !e.fresh:
			b.asked = append(b.asked, e)
			r.keep(e.root, old, row{state: rowAsked})
			continue
		}
		r.keep(e.root, old, r.write(&b, e, old))
	}
	return b
}

// keep remembers what a row is now.
func (r *rebuild) keep(root log.Root, old, now row) {
	r.roomStubs += len(old.stubs) - len(now.stubs)
	if r.roomStubs < 0 && now.state == rowKnown {
		r.roomStubs += len(now.stubs)
		now.state, now.stubs = rowLong, ""
	}
	r.rows[root] = now
}

// write adds what makes of the old row the new one.
func (r *rebuild) write(b *batch, e *edit, old row) row {
	book, history := r.keys.book(e.root), r.keys.history(e.root)
	switch {
	case !e.lost && !e.fresh && old.state == rowLost:
		return old
	case e.lost, !e.fresh && e.after != old.last, old.size+e.size() > mostRow:
		b.lost++
		b.plain = append(b.plain, redisCommand{"SET", book, append(r.shelf[:], kindLost)}, redisCommand{"DEL", history, nil})
		return row{state: rowLost}
	case e.fresh:
		if old.covers > 0 {
			b.plain = append(b.plain, redisCommand{"DEL", history, nil})
		}
		old = row{}
	}
	now := row{last: e.last, covers: old.covers, size: old.size + e.size(), state: max(old.state, rowKnown)}
	if e.snapshot == nil && old.state != rowNone {
		b.plain = append(b.plain, redisCommand{"APPEND", book, e.pages})
		if now.state == rowKnown {
			now.stubs = old.stubs + string(stubsOf(e.pages))
		}
		return now
	}
	if covered := append([]byte(old.stubs), stubsOf(e.covered)...); len(covered) > 0 {
		if old.covers == 0 {
			b.plain = append(b.plain, redisCommand{"SET", history, append(r.shelf[:], covered...)})
		} else {
			b.plain = append(b.plain, redisCommand{"APPEND", history, covered})
		}
		now.covers += uint32(len(covered) / stubSize)
	}
	value := make([]byte, 0, idSize+len(e.snapshot)+len(e.pages))
	value = append(append(append(value, r.shelf[:]...), e.snapshot...), e.pages...)
	b.plain = append(b.plain, redisCommand{"SET", book, value})
	now.size, now.stubs = len(value), string(stubsOf(e.pages))
	return now
}

// stubsOf gives the stubs of entries of pages.
func stubsOf(entries []byte) (stubs []byte) {
	for len(entries) > 0 {
		size := int(binary.BigEndian.Uint32(entries[1:])) + headSize + tailSize
		if entries[0] == kindPage {
			stubs = append(stubs, entries[headSize:headSize+stubSize]...)
		}
		entries = entries[size:]
	}
	return stubs
}
