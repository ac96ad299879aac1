package query

import "time"

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
