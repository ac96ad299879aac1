package business

import (
	"context"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

// line is the queue of one root's commands. The first one stays in it until it
// is finished, or was refused.
type line struct {
	part  *part
	root  log.Root
	queue []*command
	busy  bool            // its first command is being decided or committed
	cold  bool            // its book is being loaded
	book  *snapshots.Book // held while there are commands

	hangUp context.CancelFunc // ends the call of business logic that is under way
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
		if c.polled == nil && !w.wanted(c) {
			l.queue = l.queue[1:]
			continue
		}
		if l.book == nil {
			if l.book = w.books.Acquire(l.part.claim.Partition, l.root); l.book == nil {
				w.load(l)
				return
			}
		}
		if c.polled != nil && c.ctx.Err() != nil && !w.applied(l, c) && !w.wanted(c) {
			l.queue = l.queue[1:]
			continue
		}
		l.busy = true
		l.part.open++
		w.decide(l, c)
	}
	if !l.busy && len(l.queue) == 0 {
		w.close(l)
	}
}

// applied says whether the command may have been applied before: a late copy of
// such a one has the outcome of the first time.
func (w *Worker) applied(l *line, c *command) bool {
	_, known := l.book.Applied(c.cause.CommandID)
	return known
}

// wanted says whether anybody still waits for the command. One whose deadline
// has passed is not decided any more; a polled one leaves that as its outcome.
func (w *Worker) wanted(c *command) bool {
	err := c.ctx.Err()
	if err == nil {
		return true
	}
	late := c.late(err)
	if c.polled != nil {
		w.ready(&decision{command: c, refused: late})
		return false
	}
	c.give()
	w.finish(c, nil, late.Err())
	return false
}

// free lets the line's next command begin.
func (w *Worker) free(l *line) {
	l.busy = false
	l.queue = l.queue[1:]
	w.advance(l)
	w.done(l.part)
}

// abandon leaves a line's first command undecided, to the next owner.
func (w *Worker) abandon(l *line, c *command) {
	w.finish(c, nil, ErrNotOwner)
	w.free(l)
}

// pause has a line's first command tried again after a pause, if it still is to
// be decided then, and here.
func (w *Worker) pause(l *line, c *command, d time.Duration, again func()) {
	w.later(l.part.ctx, d, func() {
		err := c.ctx.Err()
		switch {
		case l.part.closing:
			w.abandon(l, c)
		case err != nil:
			w.decideOn(&decision{command: c, line: l, refused: c.late(err)})
		default:
			again()
		}
	})
}

// later runs f on the loop after a pause, or as soon as ctx ends.
func (w *Worker) later(ctx context.Context, d time.Duration, f func()) {
	w.loop.Aside(func() func() {
		calls.Wait(ctx, d)
		return func() { f(); w.step() }
	})
}

// finish ends a command. Each is finished once.
func (w *Worker) finish(c *command, book *angzarr.EventBook, err error) {
	w.waiting--
	w.metrics.finished(time.Since(c.arrived), err)
	c.reply(book, err)
}

// close gives a line's book back.
func (w *Worker) close(l *line) {
	if l.book != nil {
		w.books.Release(l.book)
		l.book = nil
	}
	if l.part.lines[l.root] == l {
		delete(l.part.lines, l.root)
	}
}
