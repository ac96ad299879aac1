package query

import (
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of the contract.
const (
	bookCover    = 1
	bookPosition = 102
	coverDomain  = 1
	coverRoot    = 2
	uuidValue    = 1
)

// bookOf makes a book with these pages. They are not taken apart: a book's bytes are
// those of its fields, in any order, so that pages may come as fields that this
// message doesn't know.
func bookOf(cover *angzarr.Cover, pages []byte) *angzarr.EventBook {
	book := &angzarr.EventBook{Cover: cover}
	book.ProtoReflect().SetUnknown(pages)
	return book
}

// keepFrame is how many bytes a subscription keeps for its next book: there may be
// many that wait.
const keepFrame = 16 << 10

// frame is a book that is written by hand, in place of the one before: who gets
// history gets hundreds of thousands a second, most of them with one page.
type frame struct {
	book     angzarr.EventBook
	bytes    []byte
	position []byte
}

// of gives a root's book, until it is asked for the next one.
func (f *frame) of(domain string, root log.Root, pages []byte, where *position) *angzarr.EventBook {
	uuid := protowire.SizeTag(uuidValue) + protowire.SizeBytes(len(root))
	cover := protowire.SizeTag(coverDomain) + protowire.SizeBytes(len(domain)) + protowire.SizeTag(coverRoot) + protowire.SizeBytes(uuid)
	b := appendLength(f.bytes[:0], bookCover, cover)
	b = append(appendLength(b, coverDomain, len(domain)), domain...)
	b = appendLength(b, coverRoot, uuid)
	b = append(appendLength(b, uuidValue, len(root)), root[:]...)
	b = append(b, pages...)
	f.position = where.appendTo(f.position)
	b = append(appendLength(b, bookPosition, len(f.position)), f.position...)
	f.book.ProtoReflect().SetUnknown(b)
	f.bytes = b
	return &f.book
}

// sent says that the book was encoded.
func (f *frame) sent() {
	if cap(f.bytes) > keepFrame {
		f.bytes = nil
		f.book.ProtoReflect().SetUnknown(nil)
	}
}

func appendLength(b []byte, field protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(n))
}
