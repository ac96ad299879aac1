package query

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/angzarr/angzarr-kafka/log"
)

// A position says up to where a subscription was delivered, for each partition
// that it reads. To callers it is opaque:
//
//	format 2 │ cluster's id │ root, or nothing │ domains
//	domain: name │ topic's id 16 │ partitions: number, offset and epoch + 1 of each
//	checksum 4
//
// An epoch says how often the partition had got a leader by then, which tells
// whether what stands before the offset is still what was delivered. Format 1 had
// none.
//
// Texts have their length before them; numbers are varints, the checksum is
// CRC-32C, big endian.
type position struct {
	cluster string
	root    *log.Root // nil for all roots
	places  []*place
}

// place is the part of a position that one domain has.
type place struct {
	domain string
	id     [16]byte // the events topic's
	parts  []int32
	at     []int64 // where each of them goes on
	epochs []int32 // of their leaders when that was read, -1 if that is not known
}

// newPlace is the start of partitions.
func newPlace(domain string, id [16]byte, parts []int32) *place {
	p := &place{domain: domain, id: id, parts: parts, at: make([]int64, len(parts)), epochs: make([]int32, len(parts))}
	for i := range parts {
		p.epochs[i] = -1
	}
	return p
}

// move sets where a partition goes on.
func (p *place) move(i int, next int64, epoch int32) { p.at[i], p.epochs[i] = next, epoch }

const (
	positionFormat = 2
	withoutEpochs  = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (p *position) encode() []byte { return p.appendTo(make([]byte, 0, 64+len(p.places)*96)) }

// appendTo writes the token in place of what is there.
func (p *position) appendTo(b []byte) []byte {
	b = append(b[:0], positionFormat)
	b = appendText(b, p.cluster)
	if p.root != nil {
		b = appendText(b, string(p.root[:]))
	} else {
		b = appendText(b, "")
	}
	b = binary.AppendUvarint(b, uint64(len(p.places)))
	for _, d := range p.places {
		b = appendText(b, d.domain)
		b = append(b, d.id[:]...)
		b = binary.AppendUvarint(b, uint64(len(d.parts)))
		for i, part := range d.parts {
			b = binary.AppendUvarint(b, uint64(part))
			b = binary.AppendUvarint(b, uint64(d.at[i]))
			b = binary.AppendUvarint(b, uint64(d.epochs[i]+1))
		}
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errNoPosition = errors.New("is not what a book's position was")

func decodePosition(b []byte) (*position, error) {
	end := len(b) - 4
	if end < 1 || binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return nil, errNoPosition
	}
	if b[0] != positionFormat && b[0] != withoutEpochs {
		return nil, errors.New("is of another version of this service")
	}
	r := scanner{rest: b[1:end]}
	p := &position{cluster: string(r.text())}
	if root := r.text(); len(root) == len(log.Root{}) {
		p.root = (*log.Root)(root)
	} else if len(root) > 0 {
		r.bad = true
	}
	for range r.count() {
		d := &place{domain: string(r.text())}
		copy(d.id[:], r.take(len(d.id)))
		for range r.count() {
			d.parts = append(d.parts, int32(r.number()))
			d.at = append(d.at, int64(r.number()))
			epoch := int32(-1)
			if b[0] != withoutEpochs {
				epoch += int32(r.number())
			}
			d.epochs = append(d.epochs, epoch)
		}
		p.places = append(p.places, d)
	}
	if r.bad || len(r.rest) > 0 {
		return nil, errNoPosition
	}
	return p, nil
}

// of gives where a domain's partition goes on.
func (p *position) of(domain string, partition int32) (log.Reach, bool) {
	if d := p.place(domain); d != nil {
		for i, part := range d.parts {
			if part == partition {
				return log.Reach{Offset: d.at[i], Epoch: d.epochs[i]}, true
			}
		}
	}
	return log.Reach{}, false
}

func (p *position) place(domain string) *place {
	for _, d := range p.places {
		if d.domain == domain {
			return d
		}
	}
	return nil
}

// scanner reads what position writes.
type scanner struct {
	rest []byte
	bad  bool
}

func (s *scanner) number() uint64 {
	n, size := binary.Uvarint(s.rest)
	if size <= 0 {
		s.bad, s.rest = true, nil
		return 0
	}
	s.rest = s.rest[size:]
	return n
}

// count is a number of things that each take a byte at least.
func (s *scanner) count() uint64 {
	n := s.number()
	if n > uint64(len(s.rest)) {
		s.bad = true
		return 0
	}
	return n
}

func (s *scanner) text() []byte { return s.take(int(s.count())) }

func (s *scanner) take(n int) []byte {
	if n > len(s.rest) {
		s.bad, s.rest = true, nil
		return nil
	}
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}
