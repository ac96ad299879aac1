package log

import (
	"encoding/hex"
	"fmt"
	"strings"
)

const hexDigits = "0123456789abcdef"

// Root is an aggregate's identity: a UUID's 16 bytes in network order.
type Root [16]byte

// RootOf takes a root from the wire. Any length but 16 is an error.
func RootOf(b []byte) (Root, error) {
	var r Root
	if len(b) != len(r) {
		return r, fmt.Errorf("a root is a UUID of 16 bytes, not %d", len(b))
	}
	copy(r[:], b)
	return r, nil
}

// ParseRoot reads what String gives.
func ParseRoot(text string) (Root, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(text) != 36 || len(b) != len(Root{}) {
		return Root{}, fmt.Errorf("%q is no UUID", text)
	}
	return Root(b), nil
}

// String is the UUID's usual text form, 8-4-4-4-12 hex digits.
func (r Root) String() string {
	return string(r.AppendText(make([]byte, 0, 36)))
}

// AppendText appends the text form to b.
func (r Root) AppendText(b []byte) []byte {
	for i, octet := range r {
		switch i {
		case 4, 6, 8, 10:
			b = append(b, '-')
		}
		b = append(b, hexDigits[octet>>4], hexDigits[octet&0xf])
	}
	return b
}
