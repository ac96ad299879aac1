package snapshots

import (
	"context"

	"github.com/angzarr/angzarr-kafka/log"
	"golang.org/x/sync/errgroup"
)

// refold is a catch-up from the log's start: a rebuild. What it reads is folded in
// memory as far as there is room, and then written by book.
type refold struct {
	*catchUp
	memory *holding
	folds  chan *fold
}

func (c *catchUp) rebuild(ctx context.Context, read Reader) error {
	s := c.keeper.shelf
	r := &refold{catchUp: c, memory: s.memory.begin(s.rebuild, c.keeper.free, c.long()), folds: make(chan *fold)}
	defer r.memory.end()
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		defer close(r.folds)
		return r.read(ctx, read)
	})
	both.Go(func() error { return r.write(ctx) })
	return both.Wait()
}

func (c *catchUp) long() bool { return c.to-c.from > longWay }

// read reads the log into folds. Long ones read by turns, so that each has the
// memory for itself, but for what is still being written.
func (r *refold) read(ctx context.Context, read Reader) error {
	if reading := r.keeper.shelf.reading; r.long() {
		select {
		case reading <- struct{}{}:
			defer func() { <-reading }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f := newFold()
	var of changes
	err := read(ctx, map[int32]log.Span{r.keeper.partition: {From: r.from, To: r.to}}, func(record *log.Record) error {
		r.records.Add(1)
		of.reset()
		of.read(record)
		for i := range of.all {
			entry := entryOfChange(&of.all[i])
			if !f.room(len(entry)) {
				var err error
				if f, err = r.enlarge(ctx, f, len(entry), record.Offset); err != nil {
					return err
				}
			}
			f.add(of.all[i].root, entry)
		}
		return nil
	})
	if err == nil {
		f.last = true
		err = r.hand(ctx, f, r.to)
	}
	return err
}

// enlarge gives a fold with room for an entry: this one, or the next.
func (r *refold) enlarge(ctx context.Context, f *fold, entry int, at int64) (*fold, error) {
	r.memory.knows(f.weigh())
	var bytes []byte
	var err error
	if len(f.chunks) < mostChunks {
		bytes, err = r.memory.take(ctx, linkSize+entry, len(f.chunks) > 0)
	}
	if err == nil && bytes == nil {
		if err = r.hand(ctx, f, at); err == nil {
			f = newFold()
			bytes, err = r.memory.take(ctx, linkSize+entry, false)
		}
	}
	if err == nil {
		f.chunks = append(f.chunks, chunk{bytes: bytes})
	}
	return f, err
}

// hand hands a fold over to be written.
func (r *refold) hand(ctx context.Context, f *fold, upTo int64) error {
	f.upTo = upTo
	r.memory.writes(1)
	select {
	case r.folds <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write writes folds, batch by batch. The last one moves the mark to where all has
// been read; those before it only to another one at the log's start, so that each
// can be told from the others: nothing of what they write is believed yet.
func (r *refold) write(ctx context.Context) error {
	k := r.keeper
	known := newRebuild(k.keys, k.partition, k.shelf.rebuild, r.memory)
	begun := r.from
	for f := range r.folds {
		for n, through := 0, false; !through; {
			batch, next := known.plan(f, n)
			n, through = next, next == len(f.books)
			named, upTo := newShelfID(), int64(0)
			if through && f.last {
				named, upTo = known.shelf, f.upTo
			}
			if err := k.rewrite(ctx, batch, known.shelf, named, upTo); err != nil {
				return err
			}
			r.memory.back(f.release())
			r.step(begun + (f.upTo-begun)*int64(n)/int64(max(1, len(f.books))))
		}
		begun = f.upTo
		r.memory.knows(-f.weight)
		r.memory.writes(-1)
	}
	return nil
}
