package takeover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// payloadType is what commands, events and snapshots are: bytes, of which the
// first eight are the number of the command.
const (
	payloadName = "google.protobuf.BytesValue"
	payloadType = "type.googleapis.com/" + payloadName
	payloadSize = 200
)

var errForeign = errors.New("no payload of this benchmark")

// rootOf is the n-th aggregate's root, a UUID that looks like chance: nobody has
// to remember a million of them.
func rootOf(seed uint64, n int) (root log.Root) {
	a := mix(seed + uint64(n))
	binary.BigEndian.PutUint64(root[:8], a)
	binary.BigEndian.PutUint64(root[8:], mix(a))
	root[6] = root[6]&0x0f | 0x40
	root[8] = root[8]&0x3f | 0x80
	return root
}

// mix is splitmix64: https://prng.di.unimi.it/splitmix64.c.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// some is any root of the domain.
func (d *domain) some() log.Root { return rootOf(d.seed, rand.IntN(d.aggregates)) }

// someIn is any root of the domain in a partition.
func (d *domain) someIn(partition int32) log.Root {
	for {
		if root := d.some(); partitioning.Of(root, d.partitions) == partition {
			return root
		}
	}
}

// filler is what payloads are filled with, no two the same: compression finds as
// little as in real data at its worst. It is made when it is needed: the same
// program serves.
var filler = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20)
	rand.NewChaCha8([32]byte{'f', 'i', 'l', 'l', 'e', 'r'}).Read(b)
	return b
})

func payload(number uint64) []byte {
	const content = payloadSize - 3 // a tag, and a length of two bytes
	value := protowire.AppendTag(make([]byte, 0, payloadSize), 1, protowire.BytesType)
	value = protowire.AppendVarint(value, content)
	value = binary.BigEndian.AppendUint64(value, number)
	bytes := filler()
	from := number * 16411 % uint64(len(bytes)-content)
	return append(value, bytes[from:from+content-8]...)
}

func numberOf(payload []byte) (uint64, error) {
	number, kind, n := protowire.ConsumeTag(payload)
	if n < 0 || number != 1 || kind != protowire.BytesType {
		return 0, errForeign
	}
	content, n := protowire.ConsumeBytes(payload[n:])
	if n < 0 || len(content) < 8 {
		return 0, errForeign
	}
	return binary.BigEndian.Uint64(content), nil
}

// commandID is the id of the command with that number.
func commandID(number uint64) string { return fmt.Sprintf("takeover-%d", number) }

func (d *domain) command(root log.Root, number uint64) *pb.CommandBook {
	return &pb.CommandBook{
		Cover:     &pb.Cover{Domain: d.name, Root: &pb.UUID{Value: root[:]}},
		Pages:     []*pb.CommandPage{{Command: &anypb.Any{TypeUrl: payloadType, Value: payload(number)}}},
		CommandId: commandID(number),
	}
}
