package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// books are what the log says of a run.
type books struct {
	found    entries
	numbered bool
	last     map[root]uint32
}

func (b *books) add(r *kgo.Record) error {
	if r.Attrs.IsControl() || len(r.Key) != pageKey {
		return nil
	}
	if r.Value == nil || binary.BigEndian.Uint32(r.Key[16:]) == 0 {
		return nil // of an erasure
	}
	of, number := root(r.Key[:16]), binary.BigEndian.Uint32(r.Key[16:])
	if b.numbered && number != b.last[of]+1 {
		return fmt.Errorf("root %s: page %d after page %d", of, number, b.last[of])
	}
	b.last[of] = number

	command, err := stampOf(r.Value)
	if err != nil {
		return err
	}
	if command.index >= uint64(len(b.found)) {
		return fmt.Errorf("command %d was never sent", command.index)
	}
	b.found[command.index]++
	return nil
}
