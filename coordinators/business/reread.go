package business

import (
	"context"
	"errors"
	"fmt"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// collect gets pages that are committed, from the open book, or from the log
// where it no longer has them. There they stand at the offset or behind it.
func (w *Worker) collect(l *line, c *command, first, last uint32, offset int64, then func([]*angzarr.EventPage)) {
	if pages, ok := l.book.Pages(first, last); ok {
		then(pages)
		return
	}
	p := l.part
	w.loop.Aside(func() func() {
		var pages []*angzarr.EventPage
		err := w.eachPage(p.ctx, p.claim.Partition, l.root, first, last, offset, func(page *log.Page) {
			pages = append(pages, page.Proto())
		})
		return func() {
			switch {
			case p.ctx.Err() != nil:
				w.abandon(l, c)
			case err == nil:
				then(pages)
			default:
				w.unread(l, c, err)
			}
			w.step()
		}
	})
}

// lookUp finds out in the log whether a command was applied of which the book
// has no more than a hint.
func (w *Worker) lookUp(l *line, c *command, was snapshots.Applied, repeat func([]*angzarr.EventPage)) {
	p := l.part
	w.loop.Aside(func() func() {
		var pages []*angzarr.EventPage
		err := w.eachPage(p.ctx, p.claim.Partition, l.root, was.First, was.Last, was.Offset, func(page *log.Page) {
			if page.Cause.CommandID == c.cause.CommandID {
				pages = append(pages, page.Proto())
			}
		})
		return func() {
			switch {
			case p.ctx.Err() != nil:
				w.abandon(l, c)
			case err != nil:
				w.unread(l, c, err)
			case pages != nil:
				repeat(pages)
			case c.ctx.Err() != nil:
				w.decideOn(&decision{command: c, line: l, refused: c.late(c.ctx.Err())})
			default:
				w.decideNew(l, c)
			}
			w.step()
		}
	})
}

// unread decides what becomes of a command for which the log could not be read: a
// caller may try again, a polled one is tried again here.
func (w *Worker) unread(l *line, c *command, err error) {
	w.log.Warn("could not read back what a command needs", "root", l.root, "error", err)
	switch c.reads++; {
	case errors.Is(err, errMissing):
		w.decideOn(&decision{command: c, line: l, refused: status.New(codes.DataLoss, err.Error()), dead: true})
	case c.polled != nil:
		w.pause(l, c, calls.RetryAfter(c.reads), func() { w.decide(l, c) })
	default:
		w.finish(c, nil, status.Error(codes.Unavailable, err.Error()))
		w.free(l)
	}
}

// errMissing says that the log does not hold pages that were committed.
var errMissing = errors.New("pages are missing in the log")

// eachPage reads committed pages of a root from the log: all from first to last,
// or there is an error.
func (w *Worker) eachPage(ctx context.Context, partition int32, root log.Root, first, last uint32, offset int64, take func(*log.Page)) error {
	failed := func(err error) error {
		return fmt.Errorf("read pages %d to %d of %s back: %w", first, last, root, err)
	}
	end, err := w.endOf(ctx, partition)
	if err != nil {
		return failed(err)
	}
	found := 0
	err = w.read(ctx, map[int32]log.Span{partition: {From: offset, To: end}}, func(r *log.Record) error {
		if of, sequence, kind := log.ParseKey(r.Key); kind != log.KeyPage || of != root || sequence < first || sequence > last || r.Value == nil {
			return nil
		}
		p, err := log.DecodePage(r)
		if err != nil {
			return fmt.Errorf("%w: %w", errMissing, err)
		}
		take(&p)
		if found++; p.Sequence == last {
			return log.ErrStop
		}
		return nil
	})
	if err == nil && found != int(last-first)+1 {
		err = fmt.Errorf("%w: %d of %d are there", errMissing, found, last-first+1)
	}
	if err != nil {
		return failed(err)
	}
	return nil
}
