package log

import "encoding/binary"

// KeyKind says what a record of an events topic is.
type KeyKind int

// The kinds of records in an events topic.
const (
	KeyUnknown  KeyKind = iota
	KeyPage             // root ‖ sequence
	KeySnapshot         // root
	KeyErased           // root ‖ 0
)

// PageKey is the key of a root's page: 16 bytes root, 4 bytes number, big
// endian. Number 0 stands for the erasure of the root.
func PageKey(root Root, sequence uint32) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 20), root[:]...), sequence)
}

// SnapshotKey is the key of a root's snapshot.
func SnapshotKey(root Root) []byte { return append([]byte(nil), root[:]...) }

// ParseKey tells what the record of an events topic with this key is.
func ParseKey(key []byte) (root Root, sequence uint32, kind KeyKind) {
	switch len(key) {
	case 16:
		return Root(key), 0, KeySnapshot
	case 20:
		sequence = binary.BigEndian.Uint32(key[16:])
		if sequence == 0 {
			return Root(key[:16]), 0, KeyErased
		}
		return Root(key[:16]), sequence, KeyPage
	}
	return root, 0, KeyUnknown
}
