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
	next     int64 // the offset behind it
	page     *angzarr.EventPage
	erased   *angzarr.Erased // nil for a page
	size     int
	err      error // it can't be read
}

// overhead is about what an item takes beside its payload.
const overhead = 200

// itemOf reads a record; false says that it is neither a page nor an erasure, or an
// erased page's tombstone.
func itemOf(r *log.Record, wanted func(log.Root) bool) (item, bool) {
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
	p, err := decode(r)
	if it.err = err; err == nil {
		it.page = p.Proto()
		it.size = proto.Size(it.page)
	}
	return it, true
}

// itemsOf are the pages of those roots in a stretch, and their erasures.
func itemsOf(s log.Stretch, wanted func(log.Root) bool) []item {
	var items []item
	for i := range s.Records {
		if it, ok := itemOf(&s.Records[i], wanted); ok {
			if items == nil {
				items = make([]item, 0, len(s.Records)-i)
			}
			items = append(items, it)
		}
	}
	return items
}
