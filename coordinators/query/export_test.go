package query

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

// SetPatience has subscribers ended sooner that take nothing.
func (s *Service) SetPatience(d time.Duration) { s.patience = d }

// Token is a position that a test changes.
type Token struct{ position }

// OpenToken reads one.
func OpenToken(b []byte) *Token {
	p, err := decodePosition(b)
	if err != nil {
		panic(err)
	}
	return &Token{*p}
}

// Past moves it past the end of a partition.
func (t *Token) Past() { t.places[0].at[0] += 1000 }

// Elsewhere has it be of another cluster.
func (t *Token) Elsewhere() { t.cluster += "2" }

// WithoutEpochs is the token as it was in format 1.
func (t *Token) WithoutEpochs() []byte {
	p := position{cluster: t.cluster, root: t.root}
	b := append([]byte{withoutEpochs}, p.encode()[1:]...)
	b = binary.AppendUvarint(b[:len(b)-5], uint64(len(t.places))) // without the number of domains, and the checksum
	for _, d := range t.places {
		b = append(appendText(b, d.domain), d.id[:]...)
		b = binary.AppendUvarint(b, uint64(len(d.parts)))
		for i, part := range d.parts {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(part)), uint64(d.at[i]))
		}
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Bytes are the token.
func (t *Token) Bytes() []byte { return t.encode() }

// Tails is how many domains are followed, and by how many.
func (s *Service) Tails() (domains, followers int) {
	s.tails.mu.Lock()
	defer s.tails.mu.Unlock()
	for _, t := range s.tails.of {
		followers += t.users
	}
	return len(s.tails.of), followers
}

// JoinTail follows a domain of which a caller once saw that generation.
func (s *Service) JoinTail(ctx context.Context, domain string, of log.Generation) error {
	who := follower{queue: newQueue()}
	t, _, err := s.tails.join(ctx, domain, of, who)
	if err == nil {
		s.tails.leave(t, who)
	}
	return err
}
