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

// take takes all from the top down, and appends them in the order of their pages.
func (s *stack) take(b []byte, top uint32) []byte {
	n := s.drop(top)
	b = append(b, make([]byte, n*stubSize)...)
	for at, end := top, len(b); n > 0; n-- { // they are free, and nobody has used them yet
		one := &s.all[at]
		copy(b[end-stubSize:end], one.stub[:])
		at, end = one.before, end-stubSize
	}
	return b
}

// drop lets go of all from the top down, and says how many.
func (s *stack) drop(top uint32) (n int) {
	if top == 0 {
		return 0
	}
	n = 1
	at := top
	for ; s.all[at].before != 0; at = s.all[at].before {
		n++
	}
	s.all[at].before, s.free = s.free, top
	s.used -= n
	return n
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
