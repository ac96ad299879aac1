package snapshots

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"golang.org/x/sync/errgroup"
)

const (
	// sayEvery is how often progress is logged.
	sayEvery = 5 * time.Second
	// longWay is how many offsets make a catch-up a long one, and longOnes how many
	// of these go on at a time: what is read ahead of each waits in memory, and the
	// partitions that are through first take commands meanwhile.
	longWay  = 10_000
	longOnes = 2
)

// catchUp folds the log from the mark to the high watermark into the shelf. What
// is committed meanwhile waits, or is read in another turn.
func (k *keeper) catchUp(ctx context.Context, read Reader, end End) error {
	// Whatever does not wait now was committed before this is asked.
	stop, err := end(ctx)
	if err != nil {
		return err
	}
	if stop-k.mark.offset > longWay {
		select {
		case k.shelf.long <- struct{}{}:
			defer func() { <-k.shelf.long }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c := &catchUp{keeper: k, from: k.mark.offset, to: stop, stretches: make(chan stretch), spare: make(chan *changes, 1), begun: time.Now(), said: time.Now()}
	if c.from == 0 {
		err = c.rebuild(ctx, read)
	} else {
		err = c.run(ctx, read)
	}
	c.end(err)
	return err
}

// catchUp is one of them: it reads on while it writes.
type catchUp struct {
	keeper    *keeper
	from, to  int64
	records   atomic.Int64
	stretches chan stretch
	spare     chan *changes // written, and to be used again
	begun     time.Time
	said      time.Time
}

// stretch is what the log has up to an offset.
type stretch struct {
	*changes
	upTo int64
}

func (c *catchUp) run(ctx context.Context, read Reader) error {
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		defer close(c.stretches)
		return c.read(ctx, read)
	})
	both.Go(func() error { return c.write(ctx) })
	return both.Wait()
}

func (c *catchUp) read(ctx context.Context, read Reader) error {
	next := &changes{}
	hand := func(upTo int64) error {
		select {
		case c.stretches <- stretch{next, upTo}:
			select {
			case next = <-c.spare:
			default:
				next = &changes{}
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := read(ctx, map[int32]log.Span{c.keeper.partition: {From: c.from, To: c.to}}, func(r *log.Record) error {
		if r.Offset < c.from {
			return nil
		}
		c.records.Add(1)
		next.read(r)
		if len(next.all) < batchChanges && len(next.entries) < batchBytes {
			return nil
		}
		return hand(r.Offset + 1)
	})
	if err == nil {
		err = hand(c.to)
	}
	return err
}

// write writes the stretches.
func (c *catchUp) write(ctx context.Context) error {
	k := c.keeper
	for s := range c.stretches {
		if err := k.put(ctx, editsOf(k.partition, s.all), s.upTo); err != nil {
			return err
		}
		c.step(s.upTo)
		s.reset()
		select {
		case c.spare <- s.changes:
		default:
		}
	}
	return nil
}

func (c *catchUp) step(at int64) {
	took := time.Since(c.begun)
	left := time.Duration(float64(took) * float64(c.to-at) / float64(max(1, at-c.from)))
	c.keeper.counts.catchingUp(c.to-at, c.to-c.from, c.perSecond(took), left)
	if time.Since(c.said) < sayEvery {
		return
	}
	c.said = time.Now()
	c.keeper.log.Info("the shelf catches up with the log", "records", c.records.Load(), "offset", at, "of", c.to,
		"per_second", c.perSecond(took), "left", left.Round(time.Second))
}

func (c *catchUp) perSecond(took time.Duration) int64 {
	return int64(float64(c.records.Load()) / max(took.Seconds(), 0.001))
}

// end says what a catch-up of some length came to; short ones are no news.
func (c *catchUp) end(err error) {
	c.keeper.counts.catchingUp(0, 0, 0, 0)
	took := time.Since(c.begun)
	if err == nil && took > time.Second {
		c.keeper.log.Info("the shelf has caught up with the log", "records", c.records.Load(), "took", took.Round(time.Millisecond), "per_second", c.perSecond(took))
	}
}
