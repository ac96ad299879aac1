package business

import (
	"bytes"
	"unicode/utf8"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// readAnswer makes a message of what business logic answered.
func readAnswer(domain string, encoded []byte) (*angzarr.EventBook, error) {
	if book, ok := readUsual(domain, encoded); ok {
		return book, nil
	}
	book := &angzarr.EventBook{}
	return book, proto.Unmarshal(encoded, book)
}

// usual is an answer as most are, one event and perhaps a snapshot, in one piece
// of memory: message by message it takes a tenth of a command's allocations.
type usual struct {
	book     angzarr.EventBook
	cover    angzarr.Cover
	root     angzarr.UUID
	pages    [1]*angzarr.EventPage
	page     angzarr.EventPage
	num      angzarr.EventPage_Num
	created  timestamppb.Timestamp
	event    anypb.Any
	snapshot angzarr.Snapshot
	state    anypb.Any
}

// readUsual reads a usual answer. Of any other it says nothing, and ok is false.
func readUsual(domain string, encoded []byte) (book *angzarr.EventBook, ok bool) {
	u := &usual{}
	ok = fields(bytes.Clone(encoded), func(number protowire.Number, value []byte, _ uint64) bool {
		switch {
		case value == nil:
			return false
		case number == 1 && u.book.Cover == nil:
			u.book.Cover = &u.cover
			return u.readCover(domain, value)
		case number == 2 && u.book.Snapshot == nil:
			u.book.Snapshot = &u.snapshot
			return u.readSnapshot(value)
		case number == 3 && u.book.Pages == nil:
			u.pages[0] = &u.page
			u.book.Pages = u.pages[:]
			return u.readPage(value)
		}
		return false
	})
	return &u.book, ok
}

// readCover reads a cover of the domain.
func (u *usual) readCover(domain string, cover []byte) bool {
	return fields(cover, func(number protowire.Number, value []byte, _ uint64) bool {
		switch {
		case number == 1 && value != nil && u.cover.Domain == "":
			u.cover.Domain = domain
			return string(value) == domain
		case number == 2 && value != nil && u.cover.Root == nil:
			u.cover.Root = &u.root
			return fields(value, func(number protowire.Number, value []byte, _ uint64) bool {
				u.root.Value = value
				return number == 1 && len(value) == len(log.Root{})
			})
		}
		return false
	})
}

func (u *usual) readSnapshot(snapshot []byte) bool {
	return fields(snapshot, func(number protowire.Number, value []byte, n uint64) bool {
		switch {
		case number == 1 && value == nil:
			u.snapshot.Sequence = uint32(n)
			return true
		case number == 2 && value != nil && u.snapshot.State == nil:
			u.snapshot.State = &u.state
			return readAny(value, &u.state)
		}
		return false
	})
}

func (u *usual) readPage(page []byte) bool {
	return fields(page, func(number protowire.Number, value []byte, n uint64) bool {
		switch {
		case number == 1 && value == nil:
			u.num.Num = uint32(n)
			u.page.Sequence = &u.num
			return true
		case number == 3 && value != nil && u.page.CreatedAt == nil:
			u.page.CreatedAt = &u.created
			return u.readCreated(value)
		case number == 4 && value != nil && u.page.Event == nil:
			u.page.Event = &u.event
			return readAny(value, &u.event)
		case number == 5 && value == nil:
			u.page.Synchronous = n != 0
			return true
		}
		return false
	})
}

func (u *usual) readCreated(at []byte) bool {
	return fields(at, func(number protowire.Number, value []byte, n uint64) bool {
		switch {
		case number == 1 && value == nil:
			u.created.Seconds = int64(n)
			return true
		case number == 2 && value == nil:
			u.created.Nanos = int32(n)
			return true
		}
		return false
	})
}

func readAny(encoded []byte, into *anypb.Any) bool {
	return fields(encoded, func(number protowire.Number, value []byte, _ uint64) bool {
		switch {
		case number == 1 && value != nil && into.TypeUrl == "":
			into.TypeUrl = string(value)
			return utf8.Valid(value)
		case number == 2 && value != nil && into.Value == nil:
			into.Value = value[:len(value):len(value)]
			return true
		}
		return false
	})
}
