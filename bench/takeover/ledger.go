package takeover

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/angzarr/angzarr-kafka/log"
)

// ledger numbers what is given to a domain, and knows which of it was
// acknowledged.
type ledger struct {
	issued atomic.Uint64

	mu     sync.Mutex
	filled uint64   // the first numbers are pages that were filled in
	acked  []uint64 // commands that were answered
}

func (l *ledger) next() uint64 { return l.issued.Add(1) - 1 }

func (l *ledger) ack(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, number)
}

// found is how often each number is in the log.
type found []uint8

// check says what is wrong with the log.
func (l *ledger) check(f found) error {
	lost := 0
	for number, times := range f {
		if times > 1 {
			return fmt.Errorf("command %d is in the log %d times", number, times)
		}
		if uint64(number) < l.filled && times == 0 {
			lost++
		}
	}
	for _, number := range l.acked {
		if f[number] == 0 {
			lost++
		}
	}
	if lost > 0 {
		return fmt.Errorf("%d of %d acknowledged commands and pages are not in the log", lost, l.filled+uint64(len(l.acked)))
	}
	return nil
}

// audit reads all of the domain's log and holds it against the ledger.
func (w *world) audit(ctx context.Context, d *domain) error {
	ends, err := log.HighWatermarks(ctx, w.client, d.events())
	if err != nil {
		return err
	}
	spans := make(map[int32]log.Span, len(ends))
	for p, end := range ends {
		spans[p] = log.Span{From: 0, To: end}
	}
	numbers := make(found, d.ledger.issued.Load())
	last := make(map[log.Root]uint32, d.aggregates)
	err = w.cluster.Scan(ctx, d.events(), spans, func(r *log.Record) error {
		root, sequence, kind := log.ParseKey(r.Key)
		if kind != log.KeyPage {
			return nil
		}
		if sequence != last[root]+1 {
			return fmt.Errorf("offset %d of partition %d: page %d of %s comes after page %d", r.Offset, r.Partition, sequence, root, last[root])
		}
		last[root] = sequence
		number, err := numberOf(r.Value)
		if err == nil && number >= uint64(len(numbers)) {
			err = fmt.Errorf("command %d was never given", number)
		}
		if err != nil {
			return fmt.Errorf("offset %d of partition %d: %w", r.Offset, r.Partition, err)
		}
		numbers[number]++
		return nil
	})
	if err != nil {
		return err
	}
	return d.ledger.check(numbers)
}
