package snapshots

import (
	"context"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
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
	p := progress{keeper: k, from: k.mark.offset, to: stop, begun: time.Now(), said: time.Now()}
	var batch []change
	size := 0
	write := func(upTo int64) error {
		err := k.put(ctx, editsOf(k.partition, batch), upTo)
		batch, size = batch[:0], 0
		p.step(upTo)
		return err
	}
	err = read(ctx, map[int32]log.Span{k.partition: {From: k.mark.offset, To: stop}}, func(r *log.Record) error {
		if r.Offset < k.mark.offset {
			return nil
		}
		p.records++
		for _, c := range changesOf(r) {
			batch = append(batch, c)
			size += len(c.entry)
		}
		if len(batch) < batchChanges && size < batchBytes {
			return nil
		}
		return write(r.Offset + 1)
	})
	if err == nil {
		err = write(stop)
	}
	p.end(err)
	return err
}

// progress is how far a catch-up is.
type progress struct {
	keeper   *keeper
	from, to int64
	records  int
	begun    time.Time
	said     time.Time
}

func (p *progress) step(at int64) {
	took := time.Since(p.begun)
	left := time.Duration(float64(took) * float64(p.to-at) / float64(max(1, at-p.from)))
	p.keeper.counts.catchingUp(p.to-at, p.to-p.from, p.perSecond(took), left)
	if time.Since(p.said) < sayEvery {
		return
	}
	p.said = time.Now()
	p.keeper.log.Info("the shelf catches up with the log", "records", p.records, "offset", at, "of", p.to,
		"per_second", p.perSecond(took), "left", left.Round(time.Second))
}

func (p *progress) perSecond(took time.Duration) int64 {
	return int64(float64(p.records) / max(took.Seconds(), 0.001))
}

// end says what a catch-up of some length came to; short ones are no news.
func (p *progress) end(err error) {
	p.keeper.counts.catchingUp(0, 0, 0, 0)
	took := time.Since(p.begun)
	if err == nil && took > time.Second {
		p.keeper.log.Info("the shelf has caught up with the log", "records", p.records, "took", took.Round(time.Millisecond), "per_second", p.perSecond(took))
	}
}
