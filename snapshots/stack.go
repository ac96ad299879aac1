package snapshots

import (
	"encoding/binary"
	"iter"
)

// stack holds stubs of many rows, each of which leads to the one before it; 0 is
// none.
type stack struct {
	all  []stacked
	free uint32
	most int
	used int
}

type stacked struct {
	stub   [stubSize]byte
	before uint32
}

// push puts the stubs of pages upon what is there, as far as there is room.
func (s *stack) push(top uint32, pages []byte) (uint32, bool) {
	for stub := range eachStub(pages) {
		if s.used >= s.most {
			return top, false
		}
		s.used++
		at := s.free
		if at == 0 {
			if len(s.all) == 0 {
				s.all = make([]stacked, 1)
			}
			at = uint32(len(s.all))
			s.all = append(s.all, stacked{})
		} else {
			s.free = s.all[at].before
		}
		s.all[at] = stacked{[stubSize]byte(stub), top}
		top = at
	}
	return top, true
}

// take takes all from the top down, and gives them in the order of their pages.
func (s *stack) take(top uint32) (stubs []byte) {
	n := 0
	for at := top; at != 0; at = s.all[at].before {
		n++
	}
	stubs = make([]byte, n*stubSize)
	for at := top; at != 0; {
		n--
		one := &s.all[at]
		copy(stubs[n*stubSize:], one.stub[:])
		next := one.before
		one.before, s.free = s.free, at
		s.used--
		at = next
	}
	return stubs
}

// eachStub gives the stubs in entries of pages.
func eachStub(entries []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(entries) > 0 {
			size := int(binary.BigEndian.Uint32(entries[1:])) + headSize + tailSize
			if entries[0] == kindPage && !yield(entries[headSize:headSize+stubSize]) {
				return
			}
			entries = entries[size:]
		}
	}
}

func stubsOf(entries []byte) (stubs []byte) {
	for stub := range eachStub(entries) {
		stubs = append(stubs, stub...)
	}
	return stubs
}
