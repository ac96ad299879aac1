package partitioning

import (
	"context"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

// resolve finds out what became of a transaction whose end got no good answer.
// Any error can hide a commit: PRODUCER_FENCED too, when the answer to the
// first request was lost and somebody fenced us before the second.
//
// The producer is replaced and its id ended, so that nothing can commit the
// transaction any more. Then one of its records tells for all: it is in the
// committed view, or the last stable offset has passed it and it never will be.
// It asks for as long as it takes, or until ctx ends, or the member has left.
func (m *Member) resolve(ctx context.Context, witness *log.Record, cause error) error {
	gone := m.producer
	m.producer = nil
	gone.client.Close()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		committed, err := m.committed(ctx, gone.transactionalID, witness)
		switch {
		case err == nil && committed:
			m.log.Info("the log says: committed", "group", m.config.Group)
			return nil
		case err == nil:
			return fmt.Errorf("%w: the log says so: %w", ErrNotCommitted, cause)
		}
		m.log.Warn("the log does not say yet what became of a transaction", "id", gone.transactionalID, "error", err)
		if sleep(ctx, wait) != nil || m.consumer.Context().Err() != nil {
			m.abandoned = append(m.abandoned, gone.transactionalID)
			return fmt.Errorf("%w: %w: %w", ErrOutcomeUnknown, err, cause)
		}
	}
}

// committed ends the transactional id and looks for the witness.
func (m *Member) committed(ctx context.Context, transactionalID string, w *log.Record) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	if err := endTransaction(ctx, m.consumer, transactionalID); err != nil {
		return false, err
	}
	for {
		stable, err := log.StableOffsets(ctx, m.consumer, w.Topic)
		if err != nil {
			return false, err
		}
		if stable[w.Partition] > w.Offset {
			break
		}
		if err := sleep(ctx, poll); err != nil {
			return false, fmt.Errorf("last stable offset of %s/%d has not passed %d: %w", w.Topic, w.Partition, w.Offset, err)
		}
	}
	found := false
	err := m.config.Cluster.Scan(ctx, w.Topic, map[int32]log.Span{w.Partition: {From: w.Offset, To: w.Offset + 1}},
		func(r *log.Record) error {
			found = r.Offset == w.Offset
			return nil
		})
	return found, err
}
