package business

import (
	"slices"
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

// step begins what can be begun. It is called after everything that may have
// made a difference.
func (w *Worker) step() {
	w.readOn()
	w.prove()
	if len(w.committing) > 0 || len(w.decided) == 0 || w.paused {
		return
	}
	if pause := w.asking.Wait(time.Now(), len(w.toAsk) > 0); pause > 0 {
		w.wakeAfter(pause)
		return
	}
	w.commit()
}

// wakeAfter steps again later, unless an earlier step is on its way already.
func (w *Worker) wakeAfter(d time.Duration) {
	at := time.Now().Add(d)
	if !w.wakeAt.IsZero() && !at.Before(w.wakeAt) {
		return
	}
	w.wakeAt = at
	time.AfterFunc(d, func() {
		w.loop.Do(func() {
			if w.wakeAt.Equal(at) {
				w.wakeAt = time.Time{}
			}
			w.askMore()
			w.step()
		})
	})
}

// commit commits what is decided, as much as goes into one transaction.
func (w *Worker) commit() {
	tx := partitioning.Transaction{}
	sheet := w.sheet
	parts := make(map[*part]bool)
	bytes, n := 0, 0
	now := time.Now()
	for _, d := range w.decided {
		before := len(sheet.Records)
		w.write(sheet, d, now)
		d.records = len(sheet.Records) - before
		d.size = recordsSize(sheet.Records[before:])
		if n > 0 && (bytes+d.size > batchBytes || len(sheet.Records) > batchRecords || w.oneByOne > 0) {
			sheet.Records = sheet.Records[:before]
			break
		}
		n++
		bytes += d.size
		parts[d.part] = true
		if d.polled != nil && !d.unfinished() {
			d.part.claim.Progress.Finish(d.polled.Offset)
		}
	}
	tx.Records = sheet.Records
	for p := range parts {
		tx.Offsets = append(tx.Offsets, p.claim.Offset())
	}
	w.committing = append(w.committing, w.decided[:n]...)
	w.decided = append(w.decided[:0], w.decided[n:]...)
	w.asking.Committing()
	w.metrics.batch(n)
	w.loop.Aside(func() func() {
		begun := time.Now()
		err := w.member.Commit(w.work, tx)
		took := time.Since(begun)
		return func() { w.committed(tx.Records, took, err) }
	})
}

// committed takes in what became of the transaction.
func (w *Worker) committed(records []log.Record, took time.Duration, err error) {
	batch := w.committing
	w.committing = nil
	if err != nil {
		w.sheet = log.NewSheet(w.domain.Name) // the client may not be done with the old one's records
		w.notCommitted(batch, err)
		return
	}
	w.failures = 0
	w.oneByOne = max(0, w.oneByOne-1)
	w.metrics.stage(stageCommit, took)
	w.asking.Committed(took)
	for _, d := range batch {
		mine := records[:d.records]
		records = records[d.records:]
		w.apply(d, mine)
	}
	w.sheet.Reset()
	for p := range partsOf(batch) {
		p.claim.Progress.Settle()
	}
	for _, d := range batch {
		w.after(d)
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
	if d.erasure != nil {
		d.line.book.Erase(d.erasure.erased, written[0].Offset)
		d.letters = d.erasure.rest
		return
	}
	now := time.Now()
	for i := range d.pages {
		d.pages[i].Offset = written[i].Offset
		d.line.book.AddPage(&d.pages[i], now)
	}
	if d.snapshot != nil {
		d.line.book.SetSnapshot(d.snapshot, written[len(d.pages)].Offset)
	}
}

// after answers a committed decision and lets its line go on.
func (w *Worker) after(d *decision) {
	if d.unfinished() {
		w.erasedSome(d)
		return
	}
	switch {
	case d.polled == nil || d.forward:
	case d.replyTo >= 0:
		w.sendReply(d)
	default:
		w.tellOutcome(d)
	}
	switch {
	case d.refused != nil:
		w.finish(d.command, nil, d.refused.Err())
	case d.polled != nil:
		w.finish(d.command, nil, nil)
	default:
		w.finish(d.command, w.bookOf(d), nil)
	}
	w.leave(d)
}

// leave lets go of what a decision held.
func (w *Worker) leave(d *decision) {
	if d.line != nil {
		w.free(d.line)
		return
	}
	w.done(d.part)
}

// bookOf is what a decision's caller gets.
func (w *Worker) bookOf(d *decision) *angzarr.EventBook {
	book := &angzarr.EventBook{
		Cover:     coverOf(w.domain.Name, d.root),
		CommandId: d.cause.CommandID, CorrelationId: d.correlationID(),
	}
	if d.repeat != nil {
		book.Pages = d.repeat.Pages
		d.locate(book, d.first, true)
		return book
	}
	if d.erasure != nil {
		book.Erased = d.erasure.erased
		return book
	}
	book.Pages = make([]*angzarr.EventPage, len(d.pages))
	for i := range d.pages {
		book.Pages[i] = d.pages[i].Proto()
	}
	if len(d.pages) > 0 {
		d.locate(book, d.pages[0].Offset, false)
	}
	return book
}

// locate says where a book's pages are, for the front door that waits for what
// they lead to.
func (d *decision) locate(book *angzarr.EventBook, offset int64, repeat bool) {
	if d.cause.AnswerTo != "" || slices.ContainsFunc(book.Pages, (*angzarr.EventPage).GetSynchronous) {
		book.Position = mustMarshal(&angzarr.Whereabouts{Offset: offset, Repeat: repeat})
	}
}
