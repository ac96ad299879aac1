package reactor

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/internal/seam"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reaction is what pages have led to, before it is committed.
type reaction struct {
	part    *part
	events  []*event
	records []log.Record

	passed   bool           // its record is nobody's business
	dead     *status.Status // why its page is a dead letter, nil if it is none
	attempts int
	cut      bool // the least that says so is written, as more is too large
}

const (
	// batchBytes and batchRecords bound a transaction, so that it is committed
	// well within its time.
	batchBytes   = 8 << 20
	batchRecords = 20_000
	// idle is how long offsets wait to be committed that nothing else is
	// committed with, and idlePassed how many records may have been passed.
	idle       = time.Second
	idlePassed = 1_000
)

// react takes in what pages have led to. It counts as one thing under way.
func (w *Worker) react(r *reaction) {
	if r.dead != nil {
		w.bury(r)
	} else {
		r.records = append(r.records, w.doneWith(r)...)
	}
	w.ready = append(w.ready, r)
}

// mostSaid bounds what a dead letter says of why: services' messages may be of
// any length.
const mostSaid = 8 << 10

func start(message string) string {
	if len(message) > mostSaid {
		message = message[:mostSaid] + "…"
	}
	return strings.ToValidUTF8(message, "�")
}

// bury has a reaction's records say that its pages are dead.
func (w *Worker) bury(r *reaction) {
	r.records = nil
	message := start(r.dead.Message())
	for _, e := range r.events {
		letter := log.DeadLetter{
			ID:  log.LetterID{Source: e.record.Source(), Reader: w.c.Group},
			Key: e.record.Key, Value: e.record.Value, Headers: e.record.Headers, Cut: r.cut,
			CommandID: e.page.Cause.CommandID, Cause: r.dead.Code().String(),
			Message: message, Attempts: max(1, r.attempts), Time: time.Now(),
		}
		if root, sequence, kind := log.ParseKey(e.record.Key); kind == log.KeyPage {
			letter.Root, letter.Rooted, letter.NextPage = root, true, sequence+1
		}
		if e.replay != nil {
			letter.Attempts += e.replay.Attempts
		}
		r.records = append(r.records, letter.Encode(w.c.Domain.Name))
	}
}

// step begins what can be begun. It is called after everything that may have
// made a difference.
func (w *Worker) step() {
	w.readOn()
	if w.inCommit || w.paused {
		return
	}
	if len(w.ready) == 0 {
		w.commitPassed()
		return
	}
	if pause := w.asking.Wait(time.Now(), len(w.toCall) > 0); pause > 0 {
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
			w.callMore()
			w.step()
		})
	})
}

// later runs f on the loop after a pause, or as soon as ctx ends.
func (w *Worker) later(ctx context.Context, d time.Duration, f func()) {
	w.loop.Aside(func() func() {
		calls.Wait(ctx, d)
		return func() { f(); w.step() }
	})
}

// commitPassed commits offsets that nothing else is committed with, now and then.
func (w *Worker) commitPassed() {
	passed := 0
	for _, p := range w.parts {
		if !p.closing {
			passed += len(p.passed)
		}
	}
	switch now := time.Now(); {
	case passed == 0:
		w.idleSince = time.Time{}
	case w.idleSince.IsZero():
		w.idleSince = now
		w.wakeAfter(idle)
	case passed >= min(idlePassed, w.most/2), now.Sub(w.idleSince) >= idle:
		w.commit()
	default:
		w.wakeAfter(idle - now.Sub(w.idleSince))
	}
}

// commit commits what was reacted to, as much as goes into one transaction, and
// what was passed.
func (w *Worker) commit() {
	if w.oneByOne == 0 {
		w.readyPassed()
	}
	before := w.offsets()
	batch, left := w.choose()
	parts := make(map[*part]bool)
	var unmoved []partitioning.Offset // where the parts were, for a seam
	var records []log.Record
	for _, r := range batch {
		records = append(records, r.records...)
		if seam.Apart && !parts[r.part] {
			unmoved = append(unmoved, before[r.part])
		}
		parts[r.part] = true
	}
	if len(parts) == 0 {
		return // what is ready has to wait for what is under way
	}
	if len(records) == 0 {
		// The client ends no transaction that holds nothing.
		records = append(records, w.reader().Enrolled(time.Now()))
	}
	tx := partitioning.Transaction{Records: records}
	for p := range parts {
		tx.Offsets = append(tx.Offsets, p.claim.Offset())
	}
	w.committing, w.ready = batch, left
	w.idleSince = time.Time{}
	w.asking.Committing()
	w.inCommit = true
	w.loop.Aside(func() func() {
		begun := time.Now()
		err := w.write(tx, unmoved)
		took := time.Since(begun)
		return func() { w.committed(parts, took, err) }
	})
}

// write commits the transaction. A seam has it write the records in another one
// before, which leaves the offsets where they were.
func (w *Worker) write(tx partitioning.Transaction, unmoved []partitioning.Offset) error {
	if seam.Apart && len(unmoved) > 0 {
		if err := w.member.Commit(w.work, partitioning.Transaction{Records: tx.Records, Offsets: unmoved}); err != nil {
			return err
		}
		tx.Records = []log.Record{w.reader().Enrolled(time.Now())}
	}
	return w.member.Commit(w.work, tx)
}

// offsets are where the parts are of which something is ready, for a seam.
func (w *Worker) offsets() map[*part]partitioning.Offset {
	if !seam.Apart {
		return nil
	}
	at := make(map[*part]partitioning.Offset)
	for _, r := range w.ready {
		at[r.part] = r.part.claim.Offset()
	}
	return at
}

// readyPassed has records that were passed go with the next transaction.
func (w *Worker) readyPassed() {
	for _, p := range w.parts {
		if p.closing && p.open == 0 {
			continue // whoever is next passes them too
		}
		for _, r := range p.passed {
			p.open++
			w.ready = append(w.ready, &reaction{part: p, events: []*event{{record: r}}, passed: true})
		}
		p.passed = nil
	}
}

// choose gives the reactions that go into the next transaction, whose pages it
// finishes, and those that are left: more than goes into one, or what would leave too
// many stretches unfinished behind it.
func (w *Worker) choose() (batch, left []*reaction) {
	bytes, n, records := 0, 0, 0
	parts := make(map[*part]bool)
	for _, r := range w.ready {
		size := recordsSize(r.records)
		if n > 0 && (bytes+size > batchBytes || records+len(r.records) > batchRecords || w.oneByOne > 0) {
			break
		}
		n++
		bytes += size
		records += len(r.records)
		parts[r.part] = true
		r.finish()
	}
	batch, left = slices.Clone(w.ready[:n]), slices.Clone(w.ready[n:])
	for p := range parts {
		if !p.claim.Progress.Fits() {
			batch, left = leaveOut(p, batch, left)
		}
	}
	return batch, left
}

// leaveOut has the last pages of a partition wait for those before them.
func leaveOut(p *part, batch, left []*reaction) (kept, rest []*reaction) {
	var of []*reaction
	for _, r := range batch {
		if r.part != p {
			kept = append(kept, r)
			continue
		}
		of = append(of, r)
		r.undo()
	}
	slices.SortFunc(of, func(a, b *reaction) int { return cmp.Compare(a.events[0].record.Offset, b.events[0].record.Offset) })
	// The first of them go, as many as fit: of half of the rest all or none.
	from := 0
	for step := len(of); step > 0; {
		for _, r := range of[from : from+step] {
			r.finish()
		}
		if p.claim.Progress.Fits() {
			from += step
			step = min(step, len(of)-from)
			continue
		}
		for _, r := range of[from : from+step] {
			r.undo()
		}
		step /= 2
	}
	return append(kept, of[:from]...), append(of[from:], left...)
}

// finish finishes a reaction's pages, and undo takes that back. What is replayed was
// finished long ago.
func (r *reaction) finish() {
	for _, e := range r.events {
		if e.replay == nil {
			r.part.claim.Progress.Finish(e.record.Offset)
		}
	}
}

func (r *reaction) undo() {
	for _, e := range r.events {
		if e.replay == nil {
			r.part.claim.Progress.Undo(e.record.Offset)
		}
	}
}

// committed takes in what became of the transaction.
func (w *Worker) committed(parts map[*part]bool, took time.Duration, err error) {
	batch := w.committing
	w.committing, w.inCommit = nil, false
	if err != nil {
		w.notCommitted(batch, err)
		return
	}
	w.failures = 0
	w.oneByOne = max(0, w.oneByOne-1)
	w.asking.Committed(took)
	w.metrics.committed(batch, took)
	for p := range parts {
		p.claim.Progress.Settle()
	}
	for _, r := range batch {
		w.tell(r)
		w.forget(r.events)
		r.part.letters.replayed(r.events)
		w.done(r.part)
	}
	w.step()
}

// notCommitted takes a batch back. Nothing of it is in the log, and what is
// still claimed goes into the next transaction.
func (w *Worker) notCommitted(batch []*reaction, err error) {
	w.failures++
	again := make([]*reaction, 0, len(batch))
	for _, r := range batch {
		if r.part.gone || r.part.claim.Ended() {
			w.forget(r.events)
			w.done(r.part)
			continue
		}
		r.undo()
		again = append(again, r)
	}
	w.metrics.aborted()
	w.log.Warn("a transaction was not committed", "reactions", len(batch), "left to other owners", len(batch)-len(again),
		"failures", w.failures, "error", err)
	if errors.Is(err, partitioning.ErrTooLarge) {
		w.separate(len(batch), again)
	}
	w.ready = append(again, w.ready...)
	w.paused = true
	w.later(w.work, calls.RetryAfter(w.failures), func() { w.paused = false })
}

// separate has reactions committed one by one after a topic refused a record for
// its size. The one that it was becomes a dead letter, and if that is too large
// the least of one.
func (w *Worker) separate(tried int, again []*reaction) {
	if tried > 1 {
		w.oneByOne = len(again)
		return
	}
	for _, r := range again { // one, or none
		r.cut = r.dead != nil
		if !r.cut {
			r.dead = status.Newf(codes.ResourceExhausted,
				"what the event led to has %d bytes, and holds a record that is larger than its topic allows (max.message.bytes)", recordsSize(r.records))
			r.attempts = 1
		}
		w.bury(r)
	}
}

func recordsSize(records []log.Record) (n int) {
	for i := range records {
		n += records[i].Size()
	}
	return n
}
