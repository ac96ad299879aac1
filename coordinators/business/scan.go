package business

import (
	"unicode/utf8"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/encoding/protowire"
)

// order is what must be known of a CommandBook to decide on it. Business logic
// gets the book as it came.
type order struct {
	domain                   string
	root                     log.Root
	commandID, correlationID string
	expected                 uint32 // the number that the first new page must get, 0 if unchecked
	synchronous              bool   // any page of the book asks for it
	hops                     uint32
	origin                   *angzarr.SagaOrigin // nil if no saga emitted it, or none that can be told
	notification             bool                // it tells of a rejected command
}

// scan reads an encoded CommandBook without making a message of it, which takes a
// tenth of a polled command's time. It knows books that are right and hold nothing
// out of the ordinary; of another it says nothing, and ok is false.
func scan(domain string, book []byte) (o order, ok bool) {
	covers, pages := 0, 0
	ok = fields(book, func(number protowire.Number, value []byte, _ uint64) bool {
		switch number {
		case 1:
			covers++
			return o.scanCover(domain, value)
		case 2:
			pages++
			return o.scanPage(pages == 1, value)
		case 100:
			return once(&o.commandID, value)
		case 101:
			return once(&o.correlationID, value)
		}
		return false
	})
	return o, ok && covers == 1 && pages > 0
}

func (o *order) scanCover(domain string, cover []byte) bool {
	domains, roots := 0, 0
	o.domain = domain
	return fields(cover, func(number protowire.Number, value []byte, _ uint64) bool {
		switch number {
		case 1:
			domains++
			return string(value) == domain
		case 2:
			roots++
			return fields(value, func(number protowire.Number, value []byte, _ uint64) bool {
				copy(o.root[:], value)
				return number == 1 && len(value) == len(o.root)
			}) && len(value) == len(o.root)+2
		}
		return false
	}) && domains == 1 && roots == 1
}

func (o *order) scanPage(first bool, page []byte) bool {
	commands, sequences := 0, 0
	return fields(page, func(number protowire.Number, value []byte, n uint64) bool {
		switch {
		case number == 1 && value == nil:
			sequences++
			if first {
				o.expected = uint32(n)
			}
			return sequences == 1
		case number == 2 && value == nil && n <= 1:
			o.synchronous = o.synchronous || n == 1
			return n == 1
		case number == 3:
			commands++
			return scanPayload(value)
		}
		return false
	}) && commands == 1
}

// scanPayload says that the payload names its type.
func scanPayload(payload []byte) bool {
	types := 0
	return fields(payload, func(number protowire.Number, value []byte, _ uint64) bool {
		switch {
		case number == 1 && len(value) > 0:
			types++
			return value[len(value)-1] != '/' && utf8.Valid(value) && !isNotification(string(value))
		case number == 2 && value != nil:
			return true
		}
		return false
	}) && types == 1
}

// once takes an id that was not given before.
func once(id *string, value []byte) bool {
	if *id != "" || len(value) == 0 || len(value) > maxID || !utf8.Valid(value) {
		return false
	}
	*id = string(value)
	return true
}

// fields hands the fields of an encoded message to fn: those of bytes with their
// value, which is not nil, and those of numbers with n. It ends with the first
// that is neither, or of which fn does not approve.
func fields(message []byte, fn func(number protowire.Number, value []byte, n uint64) bool) bool {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return false
		}
		message = message[size:]
		var value []byte
		var n uint64
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(message)
		default:
			return false
		}
		if size < 0 || !fn(number, value, n) {
			return false
		}
		message = message[size:]
	}
	return true
}
