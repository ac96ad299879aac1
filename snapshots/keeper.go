package snapshots

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

const (
	// gatherFor is how long a change may wait for others to be written with.
	gatherFor = 25 * time.Millisecond
	// refreshAfter is how often the mark of a partition without changes is
	// written again, so that it does not grow old.
	refreshAfter = time.Minute
	// lastRetry bounds the pause before a write is tried again.
	lastRetry = 2 * time.Second
	// mostTries bounds how often a batch of a rebuild is tried again.
	mostTries = 3
)

// End gives a partition's high watermark now.
type End func(ctx context.Context) (int64, error)

// keeper keeps the shelf of one partition under one claim. It writes from where
// the mark stands: first what the log has before what waits, then what waits.
type keeper struct {
	waiting
	partition int32
	keys      keys
	origin    string
	maxAge    time.Duration
	free      func() int // memory that the owner's books leave
	log       *slog.Logger

	at         once          // says when the mark moved, or could not
	now        chan struct{} // holds one when there is no time to gather
	settled    atomic.Int64  // the mark, as far as Redis has acknowledged it
	failing    atomic.Bool   // the last turn came to nothing
	doubted    atomic.Bool   // somebody saw another mark
	complained error         // owned by keep

	// All below is owned by whoever runs bring.
	mark    mark
	raw     string // the mark in Redis; only if known
	known   bool
	half    bool // a part of a batch is on the shelf: it is begun anew
	written time.Time
}

func newKeeper(s *Shelf, domain log.Domain, partition int32, end int64) *keeper {
	some := make(chan struct{}, 1)
	return &keeper{
		waiting:   waiting{shelf: s, counts: s.metrics.of(domain.Name, partition), some: some, from: end, to: end},
		partition: partition, keys: keysOf(domain.Name, partition),
		origin: originOf(domain.ClusterID, domain.EventsID), maxAge: domain.TombstoneRetention / 2,
		free: func() int { return 0 },
		log:  s.log.With("domain", domain.Name, "partition", partition),
		at:   once{c: make(chan struct{})}, now: make(chan struct{}, 1),
	}
}

// once is closed and made anew each time something happens.
type once struct {
	mu sync.Mutex
	c  chan struct{}
}

func (o *once) happened() {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.c)
	o.c = make(chan struct{})
}

func (o *once) next() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.c
}

// keep writes what changes until ctx ends.
func (k *keeper) keep(ctx context.Context, read Reader, end End) {
	defer k.close()
	for failures := 0; ctx.Err() == nil; {
		err := k.bring(ctx, read, end)
		if err == nil {
			k.recovered()
			failures = 0
			k.pause(ctx)
			continue
		}
		if ctx.Err() == nil {
			k.failed(err)
			wait(ctx, min(lastRetry, 50*time.Millisecond<<min(failures, 6)))
			failures++
		}
	}
}

// bring brings the shelf to where its owner is.
func (k *keeper) bring(ctx context.Context, read Reader, end End) (err error) {
	defer func() {
		k.failing.Store(err != nil)
		k.at.happened()
	}()
	if k.doubted.Swap(false) {
		k.known = false
	}
	for moved := 0; ; {
		err := k.turn(ctx, read, end)
		switch {
		case errors.Is(err, errMoved) && moved < 10:
			k.known = false
			moved++
		case err == errDone:
			return nil
		case err != nil:
			k.known = false // an error says nothing about what was written
			return err
		}
	}
}

// errDone says that nothing is left to write.
var errDone = errors.New("done")

func (k *keeper) turn(ctx context.Context, read Reader, end End) error {
	if !k.known {
		if err := k.find(ctx, end); err != nil {
			return err
		}
	}
	batch, missing := k.trim(k.mark.offset)
	switch {
	case missing:
		return k.catchUp(ctx, read, end)
	case len(batch) > 0:
		return k.put(ctx, editsOf(k.partition, batch), batch[len(batch)-1].offset+1)
	}
	if edits := k.takeMended(k.mark.offset); len(edits) > 0 {
		return k.put(ctx, edits, k.mark.offset)
	}
	if time.Since(k.written) >= k.refresh() {
		return k.put(ctx, nil, k.mark.offset)
	}
	return errDone
}

// find looks where the mark stands. A shelf that can't be believed is begun anew.
func (k *keeper) find(ctx context.Context, end End) error {
	raw, _, err := k.shelf.glance(ctx, k.keys, nil)
	if err != nil {
		return err
	}
	stop, err := end(ctx)
	if err != nil {
		return err
	}
	before := k.mark
	found, why := parseMark(raw, k.origin, time.Now(), k.maxAge)
	if why == nil {
		why = found.ahead(stop)
	}
	if k.half {
		why = errHalf
	}
	if why == nil {
		if found.offset < before.offset {
			k.log.Warn("the shelf has gone back: an old dump was restored, or Redis had not stored all; it catches up from its mark",
				"mark", found.offset, "was", before.offset)
		}
		k.mark, k.raw, k.known, k.written = found, raw, true, found.at
		k.settle(found.offset)
		return nil
	}
	k.log.Warn("the shelf is rebuilt from the log", "reason", why, "records", stop)
	k.raw, k.mark, k.known = raw, mark{origin: k.origin, shelf: newShelfID()}, true
	if err = k.put(ctx, nil, 0); err == nil {
		k.half = false
	}
	return err
}

// put writes a batch and moves the mark.
func (k *keeper) put(ctx context.Context, edits []*edit, offset int64) error {
	next := k.next(offset)
	lost, err := k.shelf.put(ctx, k.keys, k.raw, next, edits)
	if err != nil {
		return err
	}
	k.moved(next, lost)
	return nil
}

// rewrite is put for a batch of a rebuild. It tries again: the next turn would not
// know the rows, and begin anew.
func (k *keeper) rewrite(ctx context.Context, b *batch, of, named shelfID, offset int64) error {
	next := k.next(offset)
	next.shelf = named
	for try := 0; ; try++ {
		lost, err := k.shelf.rewrite(ctx, k.keys, k.raw, next, of, b)
		if err == nil {
			k.moved(next, lost)
			return nil
		}
		k.half = k.half || errors.Is(err, errHalf)
		if !errors.Is(err, errRedis) || k.half || try == mostTries || ctx.Err() != nil {
			return err
		}
		k.log.Info("a batch of the rebuild is tried again", "mark", k.mark.offset, "error", err)
		wait(ctx, 50*time.Millisecond<<try)
	}
}

func (k *keeper) next(offset int64) mark {
	next := k.mark
	next.offset, next.at = offset, time.Now().Truncate(time.Second)
	return next
}

// moved takes note of a mark that has moved.
func (k *keeper) moved(next mark, lost int) {
	if lost > 0 {
		k.counts.gaveUp(lost)
		k.log.Warn("books on the shelf are not what they must be: they are read from the log when they are needed", "books", lost)
	}
	k.mark, k.raw, k.written = next, next.encode(), next.at
	k.settle(next.offset)
}

func (k *keeper) settle(offset int64) {
	k.settled.Store(offset)
	k.at.happened()
}

// pause waits until there is something to do.
func (k *keeper) pause(ctx context.Context) {
	refresh := time.NewTimer(k.refresh())
	defer refresh.Stop()
	select {
	case <-ctx.Done():
	case <-k.now:
	case <-refresh.C:
	case <-k.some:
		gather := time.NewTimer(gatherFor)
		defer gather.Stop()
		select {
		case <-ctx.Done():
		case <-k.now:
		case <-gather.C:
		}
	}
}

func (k *keeper) refresh() time.Duration { return min(refreshAfter, max(k.maxAge/4, time.Second)) }

// reach hurries, and waits until the mark is there or can't come there soon.
func (k *keeper) reach(ctx context.Context, offset int64) {
	const patience = 200 * time.Millisecond
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		next := k.at.next()
		if k.settled.Load() >= offset || k.failing.Load() {
			return
		}
		signal(k.now)
		select {
		case <-ctx.Done():
			return
		case <-late.C:
			return
		case <-next:
		}
	}
}

// doubt has the keeper look where the mark stands.
func (k *keeper) doubt() {
	k.doubted.Store(true)
	signal(k.now)
}

// failed says so, once for each reason.
func (k *keeper) failed(err error) {
	k.counts.writeFailed()
	if k.complained == nil || k.complained.Error() != err.Error() {
		k.log.Warn("the shelf can't be written; it catches up when it can be", "mark", k.mark.offset, "error", err)
	}
	k.complained = err
}

func (k *keeper) recovered() {
	if k.complained != nil {
		k.log.Info("the shelf is complete again", "mark", k.mark.offset)
		k.complained = nil
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
