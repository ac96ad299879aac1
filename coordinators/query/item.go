package query

import (
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// item is a page on its way to a caller, or the word that the root was erased.
// Several may send the same one: it is not changed any more.
type item struct {
	root     log.Root
	sequence uint32
	next     int64           // the offset behind it
	page     []byte          // as an EventBook's field, as it is sent
	erased   *angzarr.Erased // nil for a page
	size     int
	err      error // it can't be read
}

// overhead is about what an item takes beside its payload.
const overhead = 150

// items makes items of records, with the bytes of all their pages together.
type items struct {
	pages []byte
}

// of reads a record; false says that it is neither a page nor an erasure, or an
// erased page's tombstone.
func (m *items) of(r *log.Record, wanted func(log.Root) bool) (item, bool) {
	root, sequence, kind := log.ParseKey(r.Key)
	if kind != log.KeyPage && kind != log.KeyErased || r.Value == nil || !wanted(root) {
		return item{}, false
	}
	it := item{root: root, sequence: sequence, next: r.Offset + 1}
	if kind == log.KeyErased {
		it.erased, it.size = &angzarr.Erased{}, len(r.Value)
		if err := proto.Unmarshal(r.Value, it.erased); err != nil {
			it.err = unreadable(r, err)
		}
		return it, true
	}
	begin := len(m.pages)
	pages, err := log.AppendEvent(m.pages, r)
	if err != nil {
		it.err = unreadable(r, err)
		return it, true
	}
	m.pages, it.page = pages, pages[begin:len(pages):len(pages)]
	it.size = len(it.page)
	return it, true
}

// itemOf is of one record alone.
func itemOf(r *log.Record, wanted func(log.Root) bool) (item, bool) {
	return new(items).of(r, wanted)
}

// itemsOf are the pages of those roots in a stretch, and their erasures.
func itemsOf(s log.Stretch, wanted func(log.Root) bool) []item {
	var all []item
	var m items
	for i := range s.Records {
		it, ok := m.of(&s.Records[i], wanted)
		if !ok {
			continue
		}
		if all == nil { // the others will be as large as the first
			all = make([]item, 0, len(s.Records)-i)
		}
		all = append(all, it)
	}
	return all
}
