package partitioning

import (
	"sync"
	"sync/atomic"

	"github.com/angzarr/angzarr-kafka/log"
)

// Claim is one stretch of time in which this worker owns a partition: it begins
// with an assignment and ends with the partition's loss, and does not come back.
// It never outlives the membership in which it began.
type Claim struct {
	Partition int32
	// Progress follows the records that are read under this claim. It belongs
	// to the worker that was given the claim.
	Progress *Progress

	member string // whom the group assigned the partition to
	start  int64  // where reading began
	ended  atomic.Bool
}

// Offset is how far a claim's partition has been worked off, as it is committed.
type Offset struct {
	Claim *Claim
	// Low is the first offset that a successor must read, Metadata says which
	// of those behind it are finished.
	Low      int64
	Metadata string
}

// Offset is what is to be committed now.
func (c *Claim) Offset() Offset {
	low, metadata := c.Progress.offset()
	return Offset{c, low, metadata}
}

// Ended says that the claim is over. What came in under it is to be thrown away.
func (c *Claim) Ended() bool { return c.ended.Load() }

// Fetched are records of one partition, read under one claim.
type Fetched struct {
	Claim   *Claim
	Records []log.Record
}

// claims are those that a member holds. The group's callbacks change them; a
// poll and a commit read them.
type claims struct {
	mu   sync.Mutex
	held map[int32]*Claim
}

func (c *claims) get(partition int32) *Claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held[partition]
}

// begin gives those back that were still held on the same partitions.
func (c *claims) begin(begun []*Claim) (ended []*Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make(map[int32]*Claim)
	}
	for _, claim := range begun {
		if old := c.held[claim.Partition]; old != nil {
			old.ended.Store(true)
			ended = append(ended, old)
		}
		c.held[claim.Partition] = claim
	}
	return ended
}

// of gives the claims on these partitions that are held.
func (c *claims) of(partitions []int32) []*Claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*Claim
	for _, p := range partitions {
		if claim := c.held[p]; claim != nil {
			found = append(found, claim)
		}
	}
	return found
}

// outlived gives those that an earlier membership has left behind.
func (c *claims) outlived(member string) []*Claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	var old []*Claim
	for _, claim := range c.held {
		if claim.member != member {
			old = append(old, claim)
		}
	}
	return old
}

// end takes the claims away. From here on nothing of them is committed.
func (c *claims) end(gone []*Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, claim := range gone {
		claim.ended.Store(true)
		if c.held[claim.Partition] == claim {
			delete(c.held, claim.Partition)
		}
	}
}
