package bench

import (
	"context"
	"fmt"
	"time"
)

// pageKey is how long a page's key is: root and sequence. Shorter keys are
// snapshots.
const pageKey = 16 + 4

// readUntil counts committed events until ctx ends, which is no error.
func (l *topicLoad) readUntil(ctx context.Context, w window, got *latencies) error {
	for ctx.Err() == nil {
		if err := l.read(ctx, w, got); err != nil {
			return err
		}
	}
	return nil
}

// drain reads until every produced command's event is committed.
func (l *topicLoad) drain(ctx context.Context, w window, got *latencies) error {
	for l.committed.Load() < l.produced.Load() {
		if err := l.read(ctx, w, got); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d commands never came out: %w",
				l.produced.Load()-l.committed.Load(), l.produced.Load(), context.Cause(ctx))
		}
	}
	return nil
}

// read takes what has arrived; a committed event is its command's
// acknowledgement.
func (l *topicLoad) read(ctx context.Context, w window, got *latencies) error {
	fetches := l.reader.PollFetches(ctx)
	if err := fetches.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read events: %w", err)
	}
	now, events := time.Now(), uint64(0)
	for r := range fetches.RecordsAll() {
		if len(r.Key) != pageKey {
			continue
		}
		command, err := stampOf(r.Value)
		if err != nil {
			return fmt.Errorf("read %s/%d/%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		events++
		l.ledger.acked = append(l.ledger.acked, command.index)
		if got != nil && w.holds(now) {
			got.add(root(r.Key[:16]), now.Sub(command.sent))
		}
		if root(r.Key[:16]) == slowRoot {
			select {
			case l.slowDone <- struct{}{}:
			default:
			}
		}
	}
	if events == 0 {
		return nil
	}
	l.committed.Add(events)
	select {
	case l.moved <- struct{}{}:
	default:
	}
	return nil
}
