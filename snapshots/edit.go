package snapshots

import (
	"encoding/binary"
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
)

// edit is what a batch of changes does to one book.
type edit struct {
	root   log.Root
	fresh  bool   // it begins anew, whatever is stored
	lost   bool   // the changes don't follow each other: the log says what is true
	erased bool   // nothing comes after that
	begun  bool   // there was a change that follows upon what is stored
	after  uint32 // the last page that must be stored
	last   uint32 // the last page then

	covered  []byte // entries of pages that the snapshot covers
	snapshot []byte // the entry that the book begins with then; of an erasure too
	pages    []byte // entries that are appended
}

// editsOf sums changes up by book, in the order of the log.
func editsOf(partition int32, changes []change) []*edit {
	edits := make([]*edit, 0, len(changes))
	byRoot := make(map[log.Root]*edit, len(changes))
	for i := range changes {
		e := byRoot[changes[i].root]
		if e == nil {
			e = &edit{root: changes[i].root}
			byRoot[e.root] = e
			edits = append(edits, e)
		}
		e.add(partition, &changes[i])
	}
	return edits
}

// anew is an edit of all that the log has of a book.
func anew(partition int32, root log.Root, changes []change) *edit {
	e := &edit{root: root, fresh: true, begun: true}
	for i := range changes {
		e.add(partition, &changes[i])
	}
	return e
}

func (e *edit) add(partition int32, c *change) {
	if (e.erased || e.lost) && c.kind != kindErased {
		return
	}
	before := c.sequence // the last page that the change follows upon
	switch c.kind {
	case kindErased:
		*e = edit{root: e.root, fresh: true, erased: true, last: c.sequence, snapshot: c.entry}
		return
	case kindBroken:
		e.breaks(string(c.entry))
		return
	case kindPage:
		before--
	}
	what := "page"
	if c.kind == kindSnapshot {
		what = "a snapshot of page"
	}
	switch {
	case !e.begun:
		e.begun, e.after = true, before
	case before != e.last:
		e.breaks(gap(e.root, partition, what, c.sequence, c.offset, e.last))
	}
	e.last = c.sequence
	if c.kind == kindPage {
		e.pages = joined(e.pages, c.entry)
		return
	}
	e.covered = joined(e.covered, e.pages)
	e.snapshot, e.pages = c.entry, nil
}

// joined appends; the first one is not copied where no room was made for it, as it
// mostly stays alone.
func joined(a, b []byte) []byte {
	if cap(a) == 0 {
		return slices.Clip(b)
	}
	return append(a, b...)
}

// breaks says why the book can't be used. Whether it was broken before, only
// those know who have read it from its start.
func (e *edit) breaks(why string) {
	if !e.fresh {
		*e = edit{root: e.root, lost: true}
		return
	}
	e.pages = append(e.pages, entryOf(e.root, kindBroken, e.last, []byte(why))...)
}

func (e *edit) size() int { return len(e.covered) + len(e.snapshot) + len(e.pages) }

// args are what write.lua gets for one book.
func (e *edit) args() []any {
	how := "follow"
	switch {
	case e.lost:
		how = "lose"
	case e.fresh:
		how = "begin"
	}
	return []any{how, binary.BigEndian.AppendUint32(nil, e.after), e.covered, e.snapshot, e.pages}
}
