package reactor

import (
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// event is a page on its way, or the word that its root was erased.
type event struct {
	record *log.Record
	page   log.Page
	erased bool
	size   int

	replay *log.DeadLetter // what it was, nil for what was read in its turn
	given  bool            // it is a replay that somebody has dropped meanwhile
}

const (
	// Nothing is polled for a moment while more than enough records wait to be
	// admitted.
	enough      = 1000
	roomTimeout = 20 * time.Millisecond
	// A partition is not read while more than pauseTimes of what may be open waits to
	// be admitted, until it is a resumePart of that. The client throws away what it
	// has fetched of a partition that is paused, so this is for those that don't
	// move.
	pauseTimes, resumePart = 2, 8
	// fetchPartition has much of one partition come at a time, and chunk has it
	// admitted at a time: then more of a root's pages go into one call than if a
	// little of all partitions did.
	fetchPartition = 1 << 20
	chunk          = 256
	// mostOpen bounds the pages of a partition that were admitted and are not
	// finished: the more, the more of a root's go into one call. mostHeld bounds the
	// bytes of those of all partitions that are not committed.
	mostOpen = 2048
	mostHeld = 16 << 20
	// aroundEvent is about what a page takes in memory beside its record.
	aroundEvent = 1200
)

// polled takes in records.
func (w *Worker) polled(fetched []partitioning.Fetched) {
	for _, f := range fetched {
		p := w.parts[f.Claim.Partition]
		if p == nil || p.claim != f.Claim || p.closing {
			continue // polled under a claim that has ended: another owner's now
		}
		if len(p.backlog) == 0 {
			p.backlog = f.Records
		} else {
			p.backlog = append(p.backlog, f.Records...)
		}
		w.admit(p)
	}
	w.step()
}

// room gives what is closed once there is room for more records, nil if there is
// now.
func (w *Worker) room() <-chan struct{} {
	if w.waiting() <= enough {
		return nil
	}
	w.wantsRoom = make(chan struct{})
	return w.wantsRoom
}

// waiting is how many records wait to be admitted, but for those of partitions that
// are paused.
func (w *Worker) waiting() (n int) {
	for _, p := range w.parts {
		if !p.paused {
			n += len(p.backlog)
		}
	}
	return n
}

// admit lets in as many of a part's records as may wait, and reads on or stops
// reading accordingly. Lines begin only then, so that a root's pages that came
// together go into one call.
func (w *Worker) admit(p *part) {
	if p.closing {
		return
	}
	var grown []*line
	n := 0
	for may := !w.busy(p); may && n < len(p.backlog) && !p.claim.Progress.FullAt(w.most) && w.held < mostHeld; n++ {
		r := &p.backlog[n]
		if !p.claim.Progress.Admit(r.Offset) {
			continue // finished by an earlier owner
		}
		if l := w.take(p, r); l != nil && !l.grown {
			l.grown = true
			grown = append(grown, l)
		}
	}
	if p.backlog = p.backlog[n:]; len(p.backlog) == 0 {
		p.backlog = nil
	}
	switch waiting := len(p.backlog); {
	case waiting > pauseTimes*w.most && !p.paused:
		p.paused = true
		w.member.Pause(p.claim.Partition)
	case waiting <= w.most/resumePart && p.paused:
		p.paused = false
		w.member.Resume(p.claim.Partition)
	}
	for _, l := range grown {
		l.grown = false
		w.advance(l)
	}
}

// busy says that a partition of which much waits has enough under way for now.
func (w *Worker) busy(p *part) bool {
	return len(p.backlog) >= chunk && p.claim.Progress.Unfinished() > w.most/4
}

// take takes an admitted record in; it gives the line that has become longer.
func (w *Worker) take(p *part, r *log.Record) *line {
	root, _, kind := log.ParseKey(r.Key)
	if kind == log.KeyErased && r.Value != nil && w.eraser != nil {
		return w.queue(p, root, &event{record: r, erased: true, size: r.Size() + aroundEvent})
	}
	if kind != log.KeyPage || r.Value == nil {
		w.pass(p, r) // a snapshot, or what was erased
		return nil
	}
	page, err := log.DecodePage(r)
	if err != nil {
		w.broken(p, r, err)
		return nil
	}
	e := &event{record: r, page: page, size: r.Size() + aroundEvent}
	if !w.c.Service.Wants(&page) {
		w.pass(p, r)
		w.passing(e)
		return nil
	}
	return w.queue(p, root, e)
}

// queue puts an event at the end of its root's line.
func (w *Worker) queue(p *part, root log.Root, e *event) *line {
	w.held += e.size
	l := p.lines[root]
	if l == nil {
		l = &line{part: p, root: root}
		p.lines[root] = l
	}
	l.queue = append(l.queue, e)
	return l
}

// pass finishes a record that is nobody's business. Its offset is committed with
// the next one, or soon.
func (w *Worker) pass(p *part, r *log.Record) {
	p.passed = append(p.passed, r)
}

// broken makes a dead letter of a record that is no page.
func (w *Worker) broken(p *part, r *log.Record, err error) {
	e := &event{record: r, size: r.Size() + aroundEvent}
	w.held += e.size
	p.open++
	w.die(p, e, status.New(codes.DataLoss, err.Error()), 1)
}

// readOn admits what had to wait, where there is room again.
func (w *Worker) readOn() {
	if w.held >= mostHeld {
		return
	}
	for _, p := range w.parts {
		if p.backlog != nil && !p.claim.Progress.FullAt(w.most) {
			w.admit(p)
		}
	}
	if w.wantsRoom != nil && w.waiting() <= enough {
		close(w.wantsRoom)
		w.wantsRoom = nil
	}
}
