package bench

import (
	"fmt"
	"sync/atomic"
)

// ledger numbers the commands of a run and knows which were acknowledged. It is
// what the log is held against.
type ledger struct {
	issued atomic.Uint64
	acked  []uint64 // owned by who collects, once load has ended
}

func (l *ledger) next() uint64 { return l.issued.Add(1) - 1 }

// entries count a command's events in the log.
type entries []uint8

// check says what is wrong with the log: a command twice, one that nobody sent,
// or one that was acknowledged and isn't there.
func (l *ledger) check(found entries) error {
	for index, times := range found {
		if times > 1 {
			return fmt.Errorf("command %d is in the log %d times", index, times)
		}
	}
	lost := 0
	for _, index := range l.acked {
		if found[index] == 0 {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d acknowledged commands are not in the log", lost, len(l.acked))
	}
	return nil
}
