package snapshots

import (
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Field numbers of the contract. Pages are written by hand: a fold of millions
// would else make a message of each only to throw it away.
const (
	bookSnapshot = 2
	bookPages    = 3

	pageNum         = 1
	pageCreatedAt   = 3
	pageEvent       = 4
	pageSynchronous = 5

	anyTypeURL = 1
	anyValue   = 2

	timestampSeconds = 1
	timestampNanos   = 2
)

// appendPage appends the page as one of an EventBook's pages.
func appendPage(b []byte, p *log.Page) []byte {
	seconds, nanos := uint64(p.CreatedAt.Unix()), uint64(p.CreatedAt.Nanosecond())
	created := sizeVarint(timestampSeconds, seconds) + sizeVarint(timestampNanos, nanos)
	event := sizeBytes(anyTypeURL, len(p.TypeURL)) + sizeBytes(anyValue, len(p.Value))
	size := sizeVarint(pageNum, uint64(p.Sequence)) +
		protowire.SizeTag(pageCreatedAt) + protowire.SizeBytes(created) +
		protowire.SizeTag(pageEvent) + protowire.SizeBytes(event)
	if p.Synchronous {
		size += sizeVarint(pageSynchronous, 1)
	}

	b = appendLength(slices.Grow(b, protowire.SizeTag(bookPages)+protowire.SizeBytes(size)), bookPages, size)
	b = appendVarint(b, pageNum, uint64(p.Sequence))
	b = appendLength(b, pageCreatedAt, created)
	b = appendVarint(b, timestampSeconds, seconds)
	b = appendVarint(b, timestampNanos, nanos)
	b = appendLength(b, pageEvent, event)
	b = appendLength(b, anyTypeURL, len(p.TypeURL))
	b = append(b, p.TypeURL...)
	b = appendLength(b, anyValue, len(p.Value))
	b = append(b, p.Value...)
	if p.Synchronous {
		b = appendVarint(b, pageSynchronous, 1)
	}
	return b
}

// appendSnapshot appends the snapshot as an EventBook's.
func appendSnapshot(b []byte, s *angzarr.Snapshot) []byte {
	size := proto.Size(s)
	b = appendLength(slices.Grow(b, size+12), bookSnapshot, size)
	b, err := proto.MarshalOptions{}.MarshalAppend(b, s)
	if err != nil {
		panic("snapshots: " + err.Error()) // it was unmarshalled from bytes
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
