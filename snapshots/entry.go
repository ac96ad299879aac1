package snapshots

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// A book on the shelf is the shelf's id and a row of entries, which is only
// appended to until a snapshot begins it anew:
//
//	id 8 │ entry │ entry │ …
//	entry: kind 1 │ length 4 │ body │ number of the last page 4 │ checksum 4
//
// A page's body begins with its stub, which goes to the root's history once a
// snapshot covers the page: id 8 │ stub │ stub │ …, page n's being the n-th.
//
//	stub: offset 8 │ committed, in seconds 4 │ digest of the command's id 16 │ checksum 4
//
// Numbers are big endian, checksums CRC-32C, the root before what they cover.
const (
	kindPage     = 'p' // stub, and an EventBook's field 3
	kindSnapshot = 's' // offset 8, and an EventBook's field 2
	kindErased   = 'e' // offset 8, and the Erased
	kindBroken   = 'b' // why the book can't be used
	kindLost     = 'l' // nothing follows: the log has the book

	idSize     = 8
	stubSize   = 32
	headSize   = 5 // kind and length
	tailSize   = 8 // number and checksum
	offsetSize = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(root, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(root, castagnoli), castagnoli, b)
}

// change is what one record of the log does to a book.
type change struct {
	root     log.Root
	kind     byte
	sequence uint32 // of the last page after it
	offset   int64
	entry    []byte
}

func entryOf(root log.Root, kind byte, sequence uint32, body ...[]byte) []byte {
	size := 0
	for _, part := range body {
		size += len(part)
	}
	e := append(make([]byte, 0, headSize+size+tailSize), kind, 0, 0, 0, 0)
	for _, part := range body {
		e = append(e, part...)
	}
	return endEntry(e, 0, root[:], sequence)
}

// endEntry completes the entry that begins there with its kind and 4 bytes more.
func endEntry(b []byte, start int, root []byte, sequence uint32) []byte {
	binary.BigEndian.PutUint32(b[start+1:], uint32(len(b)-start-headSize))
	b = binary.BigEndian.AppendUint32(b, sequence)
	return binary.BigEndian.AppendUint32(b, checksum(root, b[start:]))
}

func stubOf(root log.Root, sequence uint32, offset, at int64, id digest) []byte {
	return appendStub(make([]byte, 0, stubSize), log.PageKey(root, sequence), offset, at, id)
}

// appendStub appends that of the page with that key.
func appendStub(b, page []byte, offset, at int64, id digest) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint64(b, uint64(offset))
	b = binary.BigEndian.AppendUint32(b, uint32(at))
	b = append(b, id[:]...)
	return binary.BigEndian.AppendUint32(b, checksum(page, b[start:]))
}

// pageChange is of a page whose bytes are an EventBook's field 3.
func pageChange(root log.Root, sequence uint32, offset, at int64, id digest, page []byte) change {
	return change{root, kindPage, sequence, offset, entryOf(root, kindPage, sequence, stubOf(root, sequence, offset, at, id), page)}
}

// appendRead appends the entry of a page that was read.
func appendRead(b []byte, p *log.RawPage, r *log.Record) []byte {
	start := len(b)
	b = append(b, kindPage, 0, 0, 0, 0)
	b = appendStub(b, r.Key, r.Offset, r.Time.Unix(), digestOf(p.CommandID))
	b = p.AppendTo(b)
	return endEntry(b, start, r.Key[:len(p.Root)], p.Sequence)
}

// snapshotChange is of a snapshot whose bytes are an EventBook's field 2.
func snapshotChange(root log.Root, covers uint32, offset int64, snapshot []byte) change {
	return change{root, kindSnapshot, covers, offset, entryOf(root, kindSnapshot, covers, offsetOf(offset), snapshot)}
}

func erasedChange(root log.Root, e *angzarr.Erased, offset int64) change {
	encoded, err := proto.Marshal(e)
	if err != nil {
		panic("snapshots: " + err.Error()) // it was unmarshalled from bytes
	}
	return change{root, kindErased, e.LastSequence, offset, entryOf(root, kindErased, e.LastSequence, offsetOf(offset), encoded)}
}

// brokenChange has no entry yet, only its body.
func brokenChange(root log.Root, offset int64, why string) change {
	return change{root: root, kind: kindBroken, offset: offset, entry: []byte(why)}
}

func offsetOf(offset int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(offset)) }

// changes are those of a stretch of the log. Their entries stand one behind the
// other, so that the same memory serves for the next stretch.
type changes struct {
	all     []change
	entries []byte
}

func (c *changes) reset() {
	clear(c.all)
	c.all, c.entries = c.all[:0], c.entries[:0]
}

// changesOf reads what a record does to its root's book, as [Book.fold] does.
func changesOf(r *log.Record) []change {
	var c changes
	c.read(r)
	return c.all
}

// read adds what a record does to its root's book.
func (c *changes) read(r *log.Record) {
	root, _, kind := log.ParseKey(r.Key)
	if kind == log.KeyUnknown || r.Value == nil {
		return
	}
	switch kind {
	case log.KeyErased:
		var e angzarr.Erased
		if err := proto.Unmarshal(r.Value, &e); err != nil {
			c.all = append(c.all, brokenChange(root, r.Offset, unreadable(root, r, err)))
			return
		}
		c.all = append(c.all, erasedChange(root, &e, r.Offset))
	case log.KeySnapshot:
		var s angzarr.Snapshot
		if err := proto.Unmarshal(r.Value, &s); err != nil {
			c.all = append(c.all, brokenChange(root, r.Offset, unreadable(root, r, err)))
			return
		}
		start := len(c.entries)
		b := append(c.entries, kindSnapshot, 0, 0, 0, 0)
		b = appendSnapshot(binary.BigEndian.AppendUint64(b, uint64(r.Offset)), &s)
		c.entries = endEntry(b, start, r.Key, s.Sequence)
		c.all = append(c.all, change{root, kindSnapshot, s.Sequence, r.Offset, slices.Clip(c.entries[start:])})
	default:
		p, err := readPage(r)
		if err != nil {
			c.all = append(c.all, brokenChange(root, r.Offset, unreadable(root, r, err)))
		}
		start := len(c.entries)
		c.entries = appendRead(c.entries, &p, r)
		c.all = append(c.all, change{root, kindPage, p.Sequence, r.Offset, slices.Clip(c.entries[start:])})
	}
}

// errCorrupt says that what the shelf has of a book is not what was put there.
var errCorrupt = errors.New("a book on the shelf is corrupt, or was given up")

// decodeBook reads a book without the shelf's id. It lacks the commands that the
// history remembers.
func decodeBook(root log.Root, partition int32, row []byte) (*Book, error) {
	b := &Book{root: root, partition: partition}
	if room := roomForPages(row); room > 0 {
		b.pages = make([]byte, 0, room)
	}
	for len(row) > 0 {
		if len(row) < headSize+tailSize {
			return nil, errCorrupt
		}
		size := int(binary.BigEndian.Uint32(row[1:])) + headSize + tailSize
		if size > len(row) {
			return nil, errCorrupt
		}
		entry := row[:size]
		row = row[size:]
		if checksum(root[:], entry[:size-4]) != binary.BigEndian.Uint32(entry[size-4:]) {
			return nil, errCorrupt
		}
		sequence := binary.BigEndian.Uint32(entry[size-tailSize:])
		if !b.take(entry[0], sequence, entry[headSize:size-tailSize]) {
			return nil, errCorrupt
		}
	}
	return b, nil
}

// roomForPages is how much a row's pages take, and one more like the last: whoever
// loads a book is about to add to it.
func roomForPages(row []byte) (room int) {
	last := 0
	for len(row) >= headSize+tailSize {
		body := int(binary.BigEndian.Uint32(row[1:]))
		if body > len(row)-headSize-tailSize {
			return 0 // corrupt
		}
		if row[0] == kindPage {
			last = max(0, body-stubSize)
			room += last
		}
		row = row[headSize+body+tailSize:]
	}
	return room + last
}

// take adds an entry; false says that it can't follow what is there.
func (b *Book) take(kind byte, sequence uint32, body []byte) bool {
	switch {
	case kind == kindBroken:
		b.broken, b.last = fmt.Errorf("%w: %s", ErrBroken, body), sequence
	case kind == kindPage && len(body) >= stubSize:
		if sequence != b.last+1 && b.broken == nil {
			return false
		}
		offset, at, id, ok := readStub(b.root, sequence, body[:stubSize])
		if !ok {
			return false
		}
		b.pages = append(b.pages, body[stubSize:]...)
		b.last = sequence
		b.applied.add(id, sequence, offset, at)
	case kind == kindSnapshot && len(body) > offsetSize:
		if len(b.pages) > 0 && b.broken == nil {
			return false // a snapshot begins the row anew
		}
		b.snapshot = append([]byte(nil), body[offsetSize:]...)
		b.last, b.covers, b.pages = sequence, sequence, b.pages[:0]
	case kind == kindErased && len(body) >= offsetSize:
		e := &angzarr.Erased{}
		if err := proto.Unmarshal(body[offsetSize:], e); err != nil || e.LastSequence != sequence {
			return false
		}
		*b = Book{root: b.root, partition: b.partition, last: sequence, erasure: e}
	default:
		return false
	}
	return true
}

func readStub(root log.Root, sequence uint32, s []byte) (offset, at int64, id digest, ok bool) {
	return readStubOf(log.PageKey(root, sequence), s)
}

// readStubOf reads the stub of the page that has that key.
func readStubOf(page, s []byte) (offset, at int64, id digest, ok bool) {
	offset, at = int64(binary.BigEndian.Uint64(s)), int64(binary.BigEndian.Uint32(s[8:]))
	copy(id[:], s[12:28])
	return offset, at, id, checksum(page, s[:28]) == binary.BigEndian.Uint32(s[28:])
}

// remember puts the commands of the pages that the snapshot covers before those
// that the book knows: the stubs are those of the last of these pages. False says
// that earlier ones are needed too.
func (b *Book) remember(stubs []byte) (enough bool, err error) {
	n := uint32(len(stubs) / stubSize)
	commands := len(b.applied.latest)
	for i := range n {
		if s := stubs[i*stubSize:]; i == 0 || !bytes.Equal(s[12:28], stubs[(i-1)*stubSize:][12:28]) {
			commands++
		}
	}
	w := windowFor(commands)
	page := log.PageKey(b.root, 0)
	var first uint32 // the first page of which the command is known
	for i := range n {
		sequence := b.covers - n + 1 + i
		binary.BigEndian.PutUint32(page[len(b.root):], sequence)
		offset, at, id, ok := readStubOf(page, stubs[i*stubSize:(i+1)*stubSize])
		if !ok {
			return false, errCorrupt
		}
		if first == 0 && id != (digest{}) {
			first = sequence
		}
		w.add(id, sequence, offset, at)
	}
	if _, before, ok := b.applied.oldest(); b.last > b.covers && (!ok || before != b.covers) {
		w.take(application{first: b.covers + 1}, b.last) // nobody's
	}
	w.join(&b.applied)
	// The first command may have begun before the first stub; it is enough once
	// that one was forgotten, and all before it.
	if _, before, _ := w.oldest(); n < b.covers && (first == 0 || before < first) {
		return false, nil
	}
	b.applied = w
	return true, nil
}
