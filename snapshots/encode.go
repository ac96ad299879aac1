package snapshots

import (
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// bookSnapshot is the field's number in an EventBook.
const bookSnapshot = 2

// appendPage appends the page as one of an EventBook's pages.
func appendPage(b []byte, p *log.Page) []byte { return p.AppendTo(b) }

// appendSnapshot appends the snapshot as an EventBook's.
func appendSnapshot(b []byte, s *angzarr.Snapshot) []byte {
	size := proto.Size(s)
	b = protowire.AppendTag(slices.Grow(b, size+12), bookSnapshot, protowire.BytesType)
	b, err := proto.MarshalOptions{}.MarshalAppend(protowire.AppendVarint(b, uint64(size)), s)
	if err != nil {
		panic("snapshots: " + err.Error()) // it was unmarshalled from bytes
	}
	return b
}
