package business

import (
	"context"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// called takes in a call.
func (w *Worker) called(c *command) {
	p := w.parts[partitioning.Of(c.root, w.domain.Partitions)]
	switch {
	case p == nil || p.closing:
		c.reply(nil, ErrNotOwner)
		return
	case w.waiting >= w.limits.waiting:
		c.reply(nil, status.Errorf(codes.ResourceExhausted,
			"%d commands of domain %s are waiting in this process, which is all that limits.waiting allows", w.waiting, w.domain.Name))
		return
	}
	c.part = p
	w.waiting++
	if !p.ready {
		p.early = append(p.early, c)
		return
	}
	w.enqueue(c)
	w.step()
}

// polled takes in records.
func (w *Worker) polled(fetched []partitioning.Fetched) {
	for _, f := range fetched {
		p := w.parts[f.Claim.Partition]
		if p == nil || p.claim != f.Claim || p.closing {
			continue // polled under a claim that has ended: another owner's now
		}
		p.backlog = append(p.backlog, f.Records...)
		w.admit(p)
	}
	w.step()
}

// admit lets in as many of a part's records as may wait, and reads on or stops
// reading accordingly.
func (w *Worker) admit(p *part) {
	if !p.ready || p.closing {
		return
	}
	n := 0
	for ; n < len(p.backlog) && !p.claim.Progress.Full() && w.waiting < w.limits.waiting; n++ {
		r := p.backlog[n]
		if !p.claim.Progress.Admit(r.Offset) {
			continue // finished by an earlier owner
		}
		w.waiting++
		c, st := read(w.domain.Name, &r)
		c.part, c.arrived = p, time.Now()
		switch {
		case st != nil:
			w.ready(&decision{command: c, refused: st, dead: true})
		case partitioning.Of(c.root, w.domain.Partitions) != p.claim.Partition:
			w.ready(&decision{command: c, forward: true})
		default:
			w.enqueue(c)
		}
	}
	p.backlog = p.backlog[n:]
	switch full := len(p.backlog) > 0; {
	case full && !p.paused:
		p.paused = true
		w.member.Pause(p.claim.Partition)
	case !full && p.paused:
		p.paused, p.backlog = false, nil
		w.member.Resume(p.claim.Partition)
	}
	w.metrics.paused(w.domain.Name, w.pausedParts())
}

func (w *Worker) pausedParts() (n int) {
	for _, p := range w.parts {
		if p.ready && p.paused {
			n++
		}
	}
	return n
}

// enqueue puts a command at the end of its root's line.
func (w *Worker) enqueue(c *command) {
	l := c.part.lines[c.root]
	if l == nil {
		l = &line{part: c.part, root: c.root}
		c.part.lines[c.root] = l
	}
	l.queue = append(l.queue, c)
	w.advance(l)
}

// advance starts the line's first command, if it can be started.
func (w *Worker) advance(l *line) {
	for !l.busy && len(l.queue) > 0 && !l.part.closing {
		c := l.queue[0]
		if !w.wanted(c) {
			l.queue = l.queue[1:]
			continue
		}
		if l.book == nil {
			if l.book = w.books.Acquire(l.part.claim.Partition, l.root); l.book == nil {
				w.load(l)
				return
			}
		}
		l.busy = true
		l.part.open++
		w.decide(l, c)
	}
	if !l.busy && len(l.queue) == 0 {
		w.close(l, l.root)
	}
}

// wanted says whether anybody still waits for the command. One whose deadline
// has passed is not decided any more; a polled one leaves that as its outcome.
func (w *Worker) wanted(c *command) bool {
	err := c.ctx.Err()
	if err == nil {
		return true
	}
	late := status.FromContextError(err)
	if c.polled != nil {
		w.ready(&decision{command: c, refused: late})
		return false
	}
	c.give()
	w.finish(c, nil, late.Err())
	return false
}

// decide does what needs no business logic, or asks it.
func (w *Worker) decide(l *line, c *command) {
	if first, last, offset, known := l.book.Applied(c.cause.CommandID); known && l.book.Err() == nil {
		w.collect(l, c, first, last, offset, func(pages []*angzarr.EventPage) {
			w.decideOn(&decision{command: c, line: l, repeat: &angzarr.EventBook{Pages: pages}})
		})
		return
	}
	if st := precheck(w.domain.Name, c, l.book, w.limits); st != nil {
		w.decideOn(&decision{command: c, line: l, refused: st.status, dead: st.dead})
		return
	}
	if c.record != nil {
		w.decideRecord(l, c)
		return
	}
	w.ask(l, c)
}

// decideRecord decides on pages to record, once it has those that are there.
func (w *Worker) decideRecord(l *line, c *command) {
	judge := func(there []*angzarr.EventPage) {
		pages, repeat, st := recorded(w.domain.Name, c, l.book, there, time.Now(), w.limits)
		w.decideOn(&decision{command: c, line: l, pages: pages, repeat: repeat, refused: st})
	}
	if from, to, any := overlap(c.record, l.book.Last()); any {
		w.collect(l, c, from, to, 0, judge)
		return
	}
	judge(nil)
}

// collect gets pages that are committed, from the open book, or from the log
// where it no longer has them. There they stand at the offset or behind it.
func (w *Worker) collect(l *line, c *command, first, last uint32, offset int64, then func([]*angzarr.EventPage)) {
	if pages, ok := l.book.Pages(first, last); ok {
		then(pages)
		return
	}
	partition, root := l.part.claim.Partition, l.root
	go func() {
		pages, err := w.pages(l.part.ctx, partition, root, first, last, offset)
		w.loop.do(func() {
			if l.part.closing || err != nil {
				if err != nil && !l.part.closing {
					w.log.Warn("could not read pages back", "root", root, "first", first, "last", last, "error", err)
				}
				w.abandon(l, c, status.Newf(codes.Unavailable, "pages %d to %d could not be read back: %v", first, last, err))
				return
			}
			then(pages)
			w.step()
		})
	}()
}

// pages reads committed pages of a root from the log.
func (w *Worker) pages(ctx context.Context, partition int32, root log.Root, first, last uint32, offset int64) ([]*angzarr.EventPage, error) {
	ends, err := w.member.HighWatermarks(ctx, log.EventsTopic(w.domain.Name))
	if err != nil {
		return nil, err
	}
	var pages []*angzarr.EventPage
	err = w.read(ctx, map[int32]log.Span{partition: {From: offset, To: ends[partition]}}, func(r *log.Record) error {
		if of, sequence, kind := log.ParseKey(r.Key); kind != log.KeyPage || of != root || sequence < first || sequence > last || r.Value == nil {
			return nil
		}
		p, err := log.DecodePage(r)
		if err != nil {
			return err
		}
		pages = append(pages, p.Proto())
		if p.Sequence == last {
			return log.ErrStop
		}
		return nil
	})
	return pages, err
}

// ask has business logic decide.
func (w *Worker) ask(l *line, c *command) {
	cover, err := proto.Marshal(&angzarr.EventBook{Cover: coverOf(w.domain.Name, l.root)})
	if err != nil {
		panic("business: " + err.Error())
	}
	request := contextual(cover, l.book, c.encoded)
	last := l.book.Last()
	c.attempts++
	asked := w.gather.asked(time.Now())
	go func() {
		ctx, cancel := merge(c.ctx, l.part.ctx)
		defer cancel()
		begun := time.Now()
		answered, st := w.logic.ask(ctx, c.cause.Traceparent, request)
		w.metrics.stage(w.domain.Name, stageLogic, time.Since(begun))
		d := &decision{command: c, line: l}
		if st == nil {
			d.pages, d.snapshot, st = number(w.domain.Name, c, answered, last, time.Now(), w.limits)
			d.refused, d.dead = st, st != nil
		}
		w.loop.do(func() {
			w.gather.answered(asked, time.Now())
			if d.refused == nil && st != nil {
				w.failed(d, st)
			} else {
				w.decideOn(d)
			}
			w.step()
		})
	}()
}

// failed decides what becomes of a command that business logic did not accept.
func (w *Worker) failed(d *decision, st *status.Status) {
	if d.part.closing && d.part.ctx.Err() != nil {
		w.abandon(d.line, d.command, nil)
		return
	}
	if err := d.ctx.Err(); err != nil {
		d.refused = status.FromContextError(err) // nobody waits any more
		w.decideOn(d)
		return
	}
	if fateOf(st) == retry && w.again(d.line, d.command, st) {
		return
	}
	d.refused = st
	// A plain error or exception may be a refusal, or a bug: somebody looks.
	d.dead = fateOf(st) == broken || st.Code() == codes.Unknown
	w.decideOn(d)
}

// again asks business logic once more after a pause. It gives up shortly before
// the caller does, so that the caller hears why.
func (w *Worker) again(l *line, c *command, st *status.Status) bool {
	const notice = 50 * time.Millisecond
	pause := retryAfter(c.attempts)
	if at, bounded := c.ctx.Deadline(); bounded {
		left := time.Until(at) - notice
		if left <= 0 {
			return false
		}
		pause = min(pause, left)
	}
	if c.attempts == 1 || c.attempts%30 == 0 {
		w.log.Warn("business logic can't be reached, or is overloaded; trying again", "root", l.root, "attempts", c.attempts, "error", st.Message())
	}
	w.metrics.retried(w.domain.Name)
	time.AfterFunc(pause, func() {
		w.loop.do(func() {
			switch {
			case l.part.closing:
				w.abandon(l, c, nil)
			case c.ctx.Err() != nil:
				w.failed(&decision{command: c, line: l}, status.FromContextError(c.ctx.Err()))
			default:
				w.ask(l, c)
			}
			w.step()
		})
	})
	return true
}

// abandon leaves a command undecided: to the next owner, or with a status.
func (w *Worker) abandon(l *line, c *command, st *status.Status) {
	if st != nil && !l.part.closing && c.polled != nil {
		// Nothing is lost: it stays first in its line.
		l.busy = false
		l.part.open--
		time.AfterFunc(retryAfter(1), func() { w.loop.do(func() { w.advance(l); w.step() }) })
		return
	}
	err := ErrNotOwner
	if st != nil && !l.part.closing {
		err = st.Err()
	}
	w.finish(c, nil, err)
	w.free(l)
}

// free lets the line's next command begin.
func (w *Worker) free(l *line) {
	l.busy = false
	l.part.open--
	if len(l.queue) > 0 {
		l.queue = l.queue[1:]
	}
	w.advance(l)
	w.settleClosing(l.part)
}

// merge gives a context that ends with either.
func merge(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(a)
	stop := context.AfterFunc(b, cancel)
	return ctx, func() { stop(); cancel() }
}

// load has the books loaded that lines of a part wait for, all that are missing
// in one pass.
func (w *Worker) load(l *line) {
	p := l.part
	p.cold = append(p.cold, l)
	if p.inLoad {
		return
	}
	p.inLoad = true
	w.loop.do(func() { w.loadCold(p) }) // after what else arrived with it
}

func (w *Worker) loadCold(p *part) {
	cold := p.cold
	p.cold = nil
	if len(cold) == 0 || p.closing {
		p.inLoad = false
		return
	}
	roots := make([]log.Root, len(cold))
	for i, l := range cold {
		roots[i] = l.root
	}
	go func() {
		begun := time.Now()
		partition := p.claim.Partition
		ends, err := w.member.HighWatermarks(p.ctx, log.EventsTopic(w.domain.Name))
		if err == nil {
			err = w.books.Load(p.ctx, w.read, partition, ends[partition], roots)
		}
		if err != nil && p.ctx.Err() == nil {
			w.log.Warn("books could not be read back; trying again", "partition", partition, "books", len(roots), "error", err)
			wait(p.ctx, retryAfter(3))
		}
		w.metrics.loaded(w.domain.Name, len(roots), time.Since(begun))
		w.loop.do(func() {
			for _, l := range cold {
				w.advance(l)
			}
			w.loadCold(p)
			w.step()
		})
	}()
}
