package bench

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// payloadType is what commands, events and snapshots are here: bytes, of which
// the first sixteen say when the command was sent and which one it was.
const payloadType = "type.googleapis.com/google.protobuf.BytesValue"

// smallestPayload is what the stamp and its own framing need.
const smallestPayload = 32

var errForeign = errors.New("no payload of this benchmark")

// stamp is what each payload begins with.
type stamp struct {
	sent  time.Time
	index uint64
}

// filler is what payloads are filled with: no two the same, so that compression
// finds as little as it does in real data at its worst.
type filler []byte

func newFiller() filler {
	random := rand.NewChaCha8([32]byte{'f', 'i', 'l', 'l', 'e', 'r'})
	bytes := make(filler, 1<<20)
	random.Read(bytes)
	return bytes
}

// payload is a message of size bytes in all.
func (f filler) payload(size int, s stamp) *anypb.Any {
	// One byte of tag, then the length.
	content := size - 1 - protowire.SizeVarint(uint64(size-2))
	from := int(s.index*16411) % (len(f) - content)
	value := make([]byte, 0, size)
	value = protowire.AppendTag(value, 1, protowire.BytesType)
	value = protowire.AppendVarint(value, uint64(content))
	value = binary.BigEndian.AppendUint64(value, uint64(s.sent.UnixNano()))
	value = binary.BigEndian.AppendUint64(value, s.index)
	value = append(value, f[from:from+content-16]...)
	return &anypb.Any{TypeUrl: payloadType, Value: value}
}

// stampOf reads what payload wrote.
func stampOf(message []byte) (stamp, error) {
	number, kind, n := protowire.ConsumeTag(message)
	if n < 0 || number != 1 || kind != protowire.BytesType {
		return stamp{}, errForeign
	}
	content, n := protowire.ConsumeBytes(message[n:])
	if n < 0 || len(content) < 16 {
		return stamp{}, errForeign
	}
	return stamp{
		sent:  time.Unix(0, int64(binary.BigEndian.Uint64(content))),
		index: binary.BigEndian.Uint64(content[8:]),
	}, nil
}

// root of an aggregate: a UUID, the same for the same seed and number.
type root [16]byte

// slowRoot is the one whose logic takes seconds, where asked for.
var slowRoot = root{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x4f, 0xff, 0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func newRoots(seed uint64, n int) []root {
	random := rand.New(rand.NewPCG(seed, 1))
	roots := make([]root, n)
	for i := range roots {
		binary.BigEndian.PutUint64(roots[i][:8], random.Uint64())
		binary.BigEndian.PutUint64(roots[i][8:], random.Uint64())
		roots[i][6] = roots[i][6]&0x0f | 0x40
		roots[i][8] = roots[i][8]&0x3f | 0x80
	}
	return roots
}

func (r root) String() string {
	h := hex.EncodeToString(r[:])
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// command is the book that load sends.
func command(domain string, r root, payload *anypb.Any) *pb.CommandBook {
	return &pb.CommandBook{
		Cover: &pb.Cover{Domain: domain, Root: &pb.UUID{Value: r[:]}},
		Pages: []*pb.CommandPage{{Command: payload}},
	}
}
