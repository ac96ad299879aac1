package log

import (
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of the contract. Pages are written by hand: who reads millions of
// them would else make a message of each only to throw it away.
const (
	bookPages = 3

	pageNum         = 1
	pageCreatedAt   = 3
	pageEvent       = 4
	pageSynchronous = 5

	anyTypeURL = 1
	anyValue   = 2

	timestampSeconds = 1
	timestampNanos   = 2
)

// AppendTo appends the page as one of an EventBook's pages, as it is sent.
func (p *Page) AppendTo(b []byte) []byte {
	return appendPage(b, p.Sequence, p.CreatedAt, "", p.TypeURL, p.Value, p.Synchronous)
}

// AppendTo does the same with a page that was read.
func (p *RawPage) AppendTo(b []byte) []byte {
	return appendPage(b, p.Sequence, p.CreatedAt, p.Prefix, p.Name, p.Value, p.Synchronous)
}

// AppendEvent appends an event's record, of which the key must be a page's, as one of
// an EventBook's pages: what [DecodePage] gives, without its cause.
func AppendEvent(b []byte, r *Record) ([]byte, error) {
	p, err := ReadPage(r)
	if err != nil {
		return b, err
	}
	return p.AppendTo(b), nil
}

func appendPage[T string | []byte](b []byte, sequence uint32, at time.Time, prefix, name T, value []byte, synchronous bool) []byte {
	seconds, nanos := uint64(at.Unix()), uint64(at.Nanosecond())
	created := sizeVarint(timestampSeconds, seconds) + sizeVarint(timestampNanos, nanos)
	typeURL := len(prefix) + len(name)
	event := sizeBytes(anyTypeURL, typeURL) + sizeBytes(anyValue, len(value))
	size := sizeVarint(pageNum, uint64(sequence)) +
		protowire.SizeTag(pageCreatedAt) + protowire.SizeBytes(created) +
		protowire.SizeTag(pageEvent) + protowire.SizeBytes(event)
	if synchronous {
		size += sizeVarint(pageSynchronous, 1)
	}

	b = appendLength(slices.Grow(b, protowire.SizeTag(bookPages)+protowire.SizeBytes(size)), bookPages, size)
	b = appendVarint(b, pageNum, uint64(sequence))
	b = appendLength(b, pageCreatedAt, created)
	b = appendVarint(b, timestampSeconds, seconds)
	b = appendVarint(b, timestampNanos, nanos)
	b = appendLength(b, pageEvent, event)
	b = appendLength(b, anyTypeURL, typeURL)
	b = append(append(b, prefix...), name...)
	b = appendLength(b, anyValue, len(value))
	b = append(b, value...)
	if synchronous {
		b = appendVarint(b, pageSynchronous, 1)
	}
	return b
}

func sizeVarint(field protowire.Number, v uint64) int {
	return protowire.SizeTag(field) + protowire.SizeVarint(v)
}

func sizeBytes(field protowire.Number, n int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(n)
}

func appendVarint(b []byte, field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), v)
}

func appendLength(b []byte, field protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(n))
}
