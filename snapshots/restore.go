package snapshots

import (
	"context"
	"fmt"
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
)

// Reader reads stretches of a domain's events topic, read_committed, each
// partition's records in offset order, from one goroutine. It returns once all
// of them have been read.
type Reader func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error

// Restore folds partitions from their start up to the high watermarks that were
// captured after they were assigned. Only then may their books be acquired.
// progress is called now and then with the number of records that were folded.
// Once ctx has ended it changes nothing more.
//
// With a shelf only what is past its mark is folded, into the shelf: it takes no
// longer with the length of the log.
func (b *Books) Restore(ctx context.Context, read Reader, ends map[int32]int64, progress func(records int)) error {
	if b.shelf != nil {
		return b.restoreShelf(ctx, read, ends, progress)
	}
	spans := make(map[int32]log.Span, len(ends))
	for p, end := range ends {
		spans[p] = log.Span{From: 0, To: end}
	}
	err := b.change(ctx, func() {
		for p := range ends {
			b.drop(p)
			b.partitions[p] = &partition{inMemory: make(map[log.Root]*Book), left: make(map[log.Root]place)}
		}
	})
	folded := 0
	if err == nil {
		err = read(ctx, spans, func(r *log.Record) error {
			if folded++; folded%10_000 == 0 {
				progress(folded)
			}
			return b.change(ctx, func() { b.fold(r) })
		})
	}
	if err == nil {
		err = b.change(ctx, func() {
			for p := range ends {
				b.partitions[p].restored = true
			}
		})
	}
	if err != nil {
		return fmt.Errorf("fold to the high watermark: %w", err)
	}
	progress(folded)
	return nil
}

// change runs f with mu held, unless ctx has ended: whoever ends it before the
// partition is dropped can be sure that nothing comes after.
func (b *Books) change(ctx context.Context, f func()) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f()
	return nil
}

// fold adds a record to its book, which may have left memory meanwhile: then it
// is enough to know its place. Called with mu held.
func (b *Books) fold(r *log.Record) {
	root, _, kind := log.ParseKey(r.Key)
	if kind == log.KeyUnknown {
		return // nobody of ours wrote it
	}
	in := b.partitions[r.Partition]
	book := in.inMemory[root]
	if book == nil {
		_, elsewhere := in.left[root]
		if elsewhere && kind == log.KeyErased && r.Value != nil {
			// What came before it is of no use any more: pages may be missing
			// there that compaction has taken.
			in.left[root] = place{offset: r.Offset}
		}
		if elsewhere || r.Value == nil {
			return
		}
		book = b.insert(in, &Book{root: root, partition: r.Partition})
	}
	book.fold(r, kind)
	b.touch(book)
	b.weigh(book)
	b.evict()
}

// Load gets books of one partition that are not in memory, all in one pass. The
// roots must have nothing under way that is not committed. Once ctx has ended it
// changes nothing more.
func (b *Books) Load(ctx context.Context, read Reader, end End, at int32, roots []log.Root) error {
	var in *partition
	needed := int64(0)
	err := b.change(ctx, func() {
		in = b.partitions[at]
		needed = in.needed
		// One that is there may change, and leave, while others are read.
		roots = slices.DeleteFunc(slices.Clone(roots), func(root log.Root) bool { return in.inMemory[root] != nil })
	})
	switch {
	case err != nil:
	case in.keeper != nil:
		err = b.loadShelved(ctx, read, end, in, at, needed, roots)
	default:
		err = b.loadPlaces(ctx, read, end, at, roots)
	}
	if err != nil {
		return fmt.Errorf("load %d books of partition %d: %w", len(roots), at, err)
	}
	return nil
}

// loadPlaces reads books back from where they stood when they left memory, from
// the first of their places up to the high watermark.
func (b *Books) loadPlaces(ctx context.Context, read Reader, end End, partition int32, roots []log.Root) error {
	var span log.Span
	loaded := make(map[log.Root]*Book, len(roots))
	var err error
	if span.To, err = end(ctx); err != nil {
		return err
	}
	span.From = span.To
	err = b.change(ctx, func() {
		in := b.partitions[partition]
		for _, root := range roots {
			if at, ok := in.left[root]; ok {
				loaded[root] = at.book(root, partition)
				span.From = min(span.From, at.offset)
			}
		}
	})
	if err == nil {
		err = read(ctx, map[int32]log.Span{partition: span}, func(r *log.Record) error {
			root, _, kind := log.ParseKey(r.Key)
			if book := loaded[root]; book != nil && r.Offset >= book.opens {
				book.fold(r, kind)
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	return b.change(ctx, func() {
		in := b.partitions[partition]
		for root, book := range loaded {
			delete(in.left, root)
			b.insert(in, book)
		}
	})
}

// book is what is to be read on from the place.
func (at place) book(root log.Root, partition int32) *Book {
	return &Book{
		root: root, partition: partition,
		last: at.before, covers: at.before, opens: at.offset, broken: at.broken,
	}
}
