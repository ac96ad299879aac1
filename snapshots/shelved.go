package snapshots

import (
	"context"
	"errors"
	"math"
	"sync"

	"github.com/angzarr/angzarr-kafka/log"
)

// whole says that nothing of the log is needed beside what the shelf has.
const whole = math.MaxInt64

// Keep writes what changes in a partition to the shelf until ctx ends, as Drop
// wants. The partition must have been restored. Without a shelf it returns at once.
func (b *Books) Keep(ctx context.Context, read Reader, end End, partition int32) {
	b.mu.Lock()
	in := b.partitions[partition]
	b.mu.Unlock()
	if in != nil && in.keeper != nil {
		in.keeper.keep(ctx, read, end)
	}
}

// Flush has what waits for the shelf written now, and returns once it is there, or
// can't be there soon: who takes the partitions over need not read it from the log.
// Nothing may be committed in them meanwhile.
func (b *Books) Flush(ctx context.Context, partitions []int32) {
	var keepers []*keeper
	b.mu.Lock()
	for _, p := range partitions {
		if in := b.partitions[p]; in != nil && in.keeper != nil {
			keepers = append(keepers, in.keeper)
		}
	}
	b.mu.Unlock()
	var all sync.WaitGroup
	for _, k := range keepers {
		all.Go(func() { k.reach(ctx, k.upTo()) })
	}
	all.Wait()
}

// restoreShelf brings the shelves of partitions to the high watermarks. A shelf
// that can't be brought there is no reason to wait: books come from the log then.
func (b *Books) restoreShelf(ctx context.Context, read Reader, ends map[int32]int64, progress func(records int)) error {
	records := 0
	counting := func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
		return read(ctx, spans, func(r *log.Record) error {
			if records++; records%10_000 == 0 {
				progress(records)
			}
			return fn(r)
		})
	}
	for p, stop := range ends {
		k := newKeeper(b.shelf, b.domain, p, stop)
		k.free = b.free
		err := k.bring(ctx, counting, func(context.Context) (int64, error) { return stop, nil })
		if errors.Is(err, errRedis) || errors.Is(err, errMoved) {
			k.log.Error("took over without the shelf: books are searched for in the log until it is there", "error", err)
			err = nil
		}
		if err == nil {
			err = b.change(ctx, func() {
				b.drop(p)
				b.partitions[p] = &partition{inMemory: make(map[log.Root]*Book), keeper: k, needed: stop, restored: true}
			})
		}
		if err != nil {
			k.close()
			return err
		}
	}
	progress(records)
	return nil
}

// found is a book as the shelf has it, and from where on the log has more.
type found struct {
	book *Book
	from int64
	lost bool     // the shelf is to be mended
	all  []change // what the log has of a lost one
	how  string
}

// loadShelved gets books from the shelf, and from the log what the shelf lacks.
func (b *Books) loadShelved(ctx context.Context, read Reader, end End, in *partition, at int32, needed int64, roots []log.Root) error {
	k := in.keeper
	if k.settled.Load() < needed {
		k.reach(ctx, needed)
	}
	books := b.search(ctx, k, needed, roots)
	span := log.Span{From: whole}
	for _, f := range books {
		span.From = min(span.From, f.from)
	}
	if span.From < whole {
		if err := b.complete(ctx, read, end, k, span, books); err != nil {
			return err
		}
	}
	return b.change(ctx, func() {
		for root, f := range books {
			f.book.keeper = k
			b.insert(in, f.book)
			k.counts.looked(f.how, 1)
			if len(f.all) > 0 {
				k.mend(root, mending{anew(at, root, f.all), f.book.changed})
			}
		}
	})
}

// search gives what the shelf has. Where it can say nothing, the log is to be
// read from its start.
func (b *Books) search(ctx context.Context, k *keeper, needed int64, roots []log.Root) map[log.Root]*found {
	books := make(map[log.Root]*found, len(roots))
	for left := roots; len(left) > 0; {
		n := 0
		if !b.shelf.trouble.Load() {
			seen, err := k.look(ctx, needed, left)
			if err != nil && ctx.Err() == nil {
				k.doubt()
				k.log.Warn("the shelf can't tell of books: they are searched for in the log", "books", len(left), "error", err)
			}
			for i, f := range seen {
				books[left[i]] = f
			}
			n = len(seen)
		}
		if n == 0 {
			for _, root := range left {
				books[root] = &found{book: &Book{root: root, partition: k.partition}, how: resultLog}
			}
			n = len(left)
		}
		left = left[n:]
	}
	return books
}

// complete folds what the log has beyond what the shelf has into the books.
func (b *Books) complete(ctx context.Context, read Reader, end End, k *keeper, span log.Span, books map[log.Root]*found) (err error) {
	if span.To, err = end(ctx); err != nil {
		return err
	}
	if span.From == 0 && span.To > slowScan {
		k.log.Warn("books are searched for in all of the log, which takes a while", "books", len(books), "records", span.To)
	}
	return read(ctx, map[int32]log.Span{k.partition: span}, func(r *log.Record) error {
		root, _, kind := log.ParseKey(r.Key)
		f := books[root]
		if f == nil || kind == log.KeyUnknown || r.Offset < f.from {
			return nil
		}
		f.book.fold(r, kind)
		if f.lost {
			f.all = append(f.all, changesOf(r)...)
		}
		return nil
	})
}

// slowScan is how many records may be read for a book without a word.
const slowScan = 10_000
