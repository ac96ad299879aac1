package business

import (
	"errors"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const (
	// batchBytes and batchRecords bound a transaction, so that it is committed
	// well within its time.
	batchBytes   = 8 << 20
	batchRecords = 20_000
)

// decideOn takes in what was decided of a line's first command.
func (w *Worker) decideOn(d *decision) {
	if d.part.closing && d.part.ctx.Err() != nil {
		w.finish(d.command, nil, ErrNotOwner) // too late for the revocation
		w.free(d.line)
		return
	}
	w.metrics.stage(w.domain.Name, stageDecide, time.Since(d.arrived))
	switch {
	case d.polled != nil:
		w.decided = append(w.decided, d)
	case d.repeat != nil:
		// Its pages are committed, whoever is the owner now.
		w.finish(d.command, w.bookOf(d), nil)
		w.free(d.line)
	case d.refused != nil, len(d.pages) == 0 && d.snapshot == nil:
		w.unproved = append(w.unproved, d)
		w.free(d.line)
	case !d.settle():
		w.finish(d.command, nil, ErrNotOwner) // its caller gave it up
		w.free(d.line)
	default:
		w.decided = append(w.decided, d)
	}
}

// ready takes in a decision that concerns no root.
func (w *Worker) ready(d *decision) {
	d.part.open++
	w.decided = append(w.decided, d)
}

// step begins what can be begun. It is called after everything that may have
// made a difference.
func (w *Worker) step() {
	w.prove()
	if len(w.committing) > 0 || len(w.decided) == 0 || w.paused {
		return
	}
	if pause := w.gather.wait(time.Now()); pause > 0 {
		w.wakeAfter(pause)
		return
	}
	w.commit()
}

// wakeAfter steps again later, unless a step is on its way already.
func (w *Worker) wakeAfter(d time.Duration) {
	if w.waking {
		return
	}
	w.waking = true
	time.AfterFunc(d, func() {
		w.loop.do(func() { w.waking = false; w.step() })
	})
}

// commit commits what is decided, as much as goes into one transaction.
func (w *Worker) commit() {
	var tx partitioning.Transaction
	parts := make(map[*part]bool)
	bytes, n := 0, 0
	now := time.Now()
	for _, d := range w.decided {
		if d.records == nil {
			d.records = w.recordsOf(d, now)
		}
		size := 0
		for i := range d.records {
			size += d.records[i].Size()
		}
		if n > 0 && (bytes+size > batchBytes || len(tx.Records)+len(d.records) > batchRecords || w.oneByOne > 0) {
			break
		}
		n++
		bytes += size
		tx.Records = append(tx.Records, d.records...)
		parts[d.part] = true
		if d.polled != nil {
			d.part.claim.Progress.Finish(d.polled.Offset)
		}
	}
	for p := range parts {
		tx.Offsets = append(tx.Offsets, p.claim.Offset())
	}
	w.committing = append(w.committing, w.decided[:n]...)
	w.decided = append(w.decided[:0], w.decided[n:]...)
	w.gather.committed()
	w.metrics.batch(w.domain.Name, n)
	go func() {
		begun := time.Now()
		err := w.member.Commit(w.work, tx)
		took := time.Since(begun)
		w.loop.do(func() { w.committed(tx.Records, took, err) })
	}()
}

// committed takes in what became of the transaction.
func (w *Worker) committed(records []log.Record, took time.Duration, err error) {
	batch := w.committing
	w.committing = nil
	if err != nil {
		w.notCommitted(batch, err)
		return
	}
	w.failures = 0
	w.oneByOne = max(0, w.oneByOne-1)
	w.metrics.stage(w.domain.Name, stageCommit, took)
	for _, d := range batch {
		mine := records[:len(d.records)]
		records = records[len(d.records):]
		w.apply(d, mine)
	}
	parts := partsOf(batch)
	for p := range parts {
		p.claim.Progress.Settle()
	}
	for _, d := range batch {
		w.after(d)
	}
	for p := range parts {
		if p.paused {
			w.admit(p) // there is room again
		}
	}
	w.step()
}

func partsOf(batch []*decision) map[*part]bool {
	parts := make(map[*part]bool)
	for _, d := range batch {
		parts[d.part] = true
	}
	return parts
}

// apply lets the book have what is committed.
func (w *Worker) apply(d *decision, written []log.Record) {
	if d.line == nil || d.line.book == nil || d.repeat != nil {
		return
	}
	now := time.Now()
	for i := range d.pages {
		d.pages[i].Offset = written[i].Offset
		d.line.book.AddPage(&d.pages[i], now)
	}
	if d.snapshot != nil && len(written) > len(d.pages) {
		if _, _, kind := log.ParseKey(written[len(d.pages)].Key); kind == log.KeySnapshot {
			d.line.book.SetSnapshot(d.snapshot, written[len(d.pages)].Offset)
		}
	}
}

// after answers a committed decision and lets its line go on.
func (w *Worker) after(d *decision) {
	book := w.bookOf(d)
	if d.polled != nil && d.replyTo >= 0 && !d.forward {
		w.sendReply(d, book)
	}
	if d.refused != nil {
		w.finish(d.command, nil, d.refused.Err())
	} else {
		w.finish(d.command, book, nil)
	}
	if d.line != nil {
		w.free(d.line)
		return
	}
	d.part.open--
	w.settleClosing(d.part)
}

// notCommitted takes a batch back. Nothing of it is in the log, and what is
// still claimed is as well decided as before: it goes into the next transaction.
func (w *Worker) notCommitted(batch []*decision, err error) {
	w.failures++
	w.metrics.aborted(w.domain.Name, reasonOf(err))
	lost := 0
	again := make([]*decision, 0, len(batch)+len(w.decided))
	unknown := errors.Is(err, partitioning.ErrOutcomeUnknown)
	for _, d := range batch {
		gone := d.part.gone || d.part.claim.Ended() || unknown
		if !gone && d.polled != nil {
			d.part.claim.Progress.Undo(d.polled.Offset)
		}
		if gone {
			lost++
			w.lose(d, unknown)
			continue
		}
		again = append(again, d)
	}
	w.decided = append(again, w.decided...)
	w.log.Warn("a transaction was not committed", "commands", len(batch), "left to other owners", lost, "failures", w.failures, "error", err)
	if errors.Is(err, partitioning.ErrTooLarge) {
		w.separate(batch)
	}
	w.paused = true
	time.AfterFunc(retryAfter(w.failures), func() {
		w.loop.do(func() { w.paused = false; w.step() })
	})
}

// lose gives up a decision whose partition is no longer ours.
func (w *Worker) lose(d *decision, unknown bool) {
	if unknown && d.polled == nil {
		w.finish(d.command, nil, inDoubt(d.cause.CommandID).Err())
	} else {
		w.finish(d.command, nil, ErrNotOwner)
	}
	if d.line != nil {
		w.free(d.line)
		return
	}
	d.part.open--
	w.settleClosing(d.part)
}

// separate has the batch's commands committed one by one, after a topic refused
// a record for its size: what it is then, is found out. It is refused itself.
func (w *Worker) separate(batch []*decision) {
	if len(batch) > 1 {
		w.oneByOne = len(batch)
		return
	}
	d := batch[0]
	if d.refused == nil {
		d.refused = tooLarge("a record of the command's transaction", recordsSize(d.records), "its topic (max.message.bytes)", 0)
	}
	d.dead, d.pages, d.snapshot, d.records = d.polled != nil, nil, nil, nil
}

// prove has the group confirm that refusals come from the owner.
func (w *Worker) prove() {
	if w.proving || len(w.unproved) == 0 {
		return
	}
	w.proving = true
	asking := w.unproved
	w.unproved = nil
	var claims []*partitioning.Claim
	for p := range partsOf(asking) {
		claims = append(claims, p.claim)
	}
	go func() {
		err := w.member.Prove(w.work, claims)
		w.loop.do(func() { w.proved(asking, err) })
	}()
}

// proved answers refusals, or leaves the commands to the next owner.
func (w *Worker) proved(asking []*decision, err error) {
	w.proving = false
	for _, d := range asking {
		switch {
		case err == nil && d.refused != nil:
			w.finish(d.command, nil, d.refused.Err())
		case err == nil:
			w.finish(d.command, w.bookOf(d), nil)
		default:
			w.finish(d.command, nil, ErrNotOwner)
		}
	}
	w.step()
}

// finish ends a command. Each is finished once.
func (w *Worker) finish(c *command, book *angzarr.EventBook, err error) {
	w.waiting--
	w.metrics.finished(w.domain.Name, c, err)
	c.reply(book, err)
}

// bookOf is what a decision's caller gets.
func (w *Worker) bookOf(d *decision) *angzarr.EventBook {
	book := &angzarr.EventBook{
		Cover:     coverOf(w.domain.Name, d.root),
		CommandId: d.cause.CommandID, CorrelationId: d.correlationID(),
	}
	if d.repeat != nil {
		book.Pages = d.repeat.Pages
		return book
	}
	book.Pages = make([]*angzarr.EventPage, len(d.pages))
	for i := range d.pages {
		book.Pages[i] = d.pages[i].Proto()
	}
	return book
}
