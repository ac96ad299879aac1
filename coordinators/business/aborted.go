package business

import (
	"errors"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// notCommitted takes a batch back. Nothing of it is in the log, and what is
// still claimed is as well decided as before: it goes into the next transaction.
// Where the outcome is unknown nothing is claimed any more: that takes the end
// of the worker's own context, which it outlives by no part.
func (w *Worker) notCommitted(batch []*decision, err error) {
	w.failures++
	w.metrics.aborted(reasonOf(err))
	unknown := errors.Is(err, partitioning.ErrOutcomeUnknown)
	again := make([]*decision, 0, len(batch))
	for _, d := range batch {
		if d.part.gone || d.part.claim.Ended() {
			w.lose(d, unknown)
			continue
		}
		if d.polled != nil && !d.unfinished() {
			d.part.claim.Progress.Undo(d.polled.Offset)
		}
		again = append(again, d)
	}
	w.log.Warn("a transaction was not committed", "commands", len(batch), "left to other owners", len(batch)-len(again),
		"failures", w.failures, "error", err)
	if errors.Is(err, partitioning.ErrTooLarge) {
		again = w.separate(batch, again)
	}
	w.decided = append(again, w.decided...)
	w.paused = true
	w.later(w.work, calls.RetryAfter(w.failures), func() { w.paused = false })
	w.step() // what does not wait for a commit
}

// lose gives up a decision whose partition is no longer ours.
func (w *Worker) lose(d *decision, unknown bool) {
	if unknown && d.polled == nil {
		w.finish(d.command, nil, inDoubt(d.cause.CommandID).Err())
	} else {
		w.finish(d.command, nil, ErrNotOwner)
	}
	w.leave(d)
}

// separate has the batch's commands committed one by one, after a topic refused
// a record for its size: whose it was is found out then.
func (w *Worker) separate(batch, again []*decision) []*decision {
	if len(batch) > 1 {
		w.oneByOne = len(again)
		return again
	}
	kept := again[:0]
	for _, d := range again { // one, or none
		if w.shrink(d) {
			kept = append(kept, d)
		}
	}
	return kept
}

// shrink makes less of a decision that is too large for a transaction: first it
// does without its snapshot, then it becomes a refusal, then the least that can
// be said of one. False says that it is no longer to be committed.
func (w *Worker) shrink(d *decision) bool {
	switch {
	case d.refused != nil:
		d.cut = true
	case d.snapshot != nil && len(d.pages) > 0:
		w.log.Warn("a snapshot was left out: it may be larger than its topic allows", "root", d.root, "bytes", d.size)
		d.snapshot = nil
	default:
		d.refused = tooLargeForTopic(d.size)
		d.pages, d.snapshot, d.repeat, d.erasure, d.forward = nil, nil, nil, nil, false
		d.dead = d.polled != nil
	}
	if d.polled == nil && d.refused != nil {
		w.unproved = append(w.unproved, d)
		w.leave(d)
		return false
	}
	return true
}
