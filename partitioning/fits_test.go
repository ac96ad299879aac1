package partitioning

import (
	"math/rand/v2"
	"testing"
)

// Who finishes records in any order, and commits only what fits, never has metadata
// that is too long, and whoever takes over knows exactly what was finished.
func TestProgressThatFits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	p, handled := &Progress{}, make(map[int64]bool)
	var under []int64
	next := int64(0)
	for round := range 300 {
		for !p.FullAt(2048) {
			if p.Admit(next) {
				under = append(under, next)
			}
			next += 1 + random.Int64N(1000)
		}
		random.Shuffle(len(under), func(i, j int) { under[i], under[j] = under[j], under[i] })
		n := random.IntN(len(under))
		batch := under[:n]
		for _, offset := range batch {
			p.Finish(offset)
		}
		if !p.Fits() {
			for _, offset := range batch {
				p.Undo(offset)
			}
			if low := p.low(); !handled[low] { // the first alone always does
				batch = []int64{low}
				p.Finish(low)
			}
		}
		if !p.Fits() {
			t.Fatalf("round %d: what is finished first does not fit", round)
		}
		for _, offset := range batch {
			if handled[offset] {
				t.Fatalf("round %d: %d is handled twice", round, offset)
			}
			handled[offset] = true
		}
		kept := under[:0:0]
		for _, offset := range under {
			if !handled[offset] {
				kept = append(kept, offset)
			}
		}
		under = kept
		p.Settle()
		if round%20 == 19 {
			low, metadata := p.offset() // panics if it is too long
			var err error
			if p, err = restore(low, metadata); err != nil {
				t.Fatal(err)
			}
			for offset := range handled {
				if offset >= low && p.Admit(offset) {
					t.Fatalf("round %d: the next owner does not know that %d is finished", round, offset)
				}
			}
			if p, err = restore(low, metadata); err != nil {
				t.Fatal(err)
			}
			under, next = nil, low
		}
	}
}
