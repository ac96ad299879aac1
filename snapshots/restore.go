package snapshots

import (
	"context"
	"fmt"

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
func (b *Books) Restore(ctx context.Context, read Reader, ends map[int32]int64, progress func(records int)) error {
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
	root, sequence, kind := log.ParseKey(r.Key)
	if kind == log.KeyUnknown {
		return // nobody of ours wrote it
	}
	in := b.partitions[r.Partition]
	book := in.inMemory[root]
	if book == nil {
		if _, elsewhere := in.left[root]; elsewhere || r.Value == nil {
			return
		}
		book = b.insert(in, &Book{root: root, partition: r.Partition})
	}
	book.fold(r, sequence, kind)
	b.touch(book)
	b.weigh(book)
	b.evict()
}

// Load reads books of one partition that left memory, all in one pass from the
// first of their places up to end, the partition's high watermark now. The roots
// must have nothing under way that is not committed. Once ctx has ended it
// changes nothing more.
func (b *Books) Load(ctx context.Context, read Reader, partition int32, end int64, roots []log.Root) error {
	span := log.Span{From: end, To: end}
	loaded := make(map[log.Root]*Book, len(roots))
	err := b.change(ctx, func() {
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
			root, sequence, kind := log.ParseKey(r.Key)
			if book := loaded[root]; book != nil && r.Offset >= book.opens {
				book.fold(r, sequence, kind)
			}
			return nil
		})
	}
	if err == nil {
		err = b.change(ctx, func() {
			in := b.partitions[partition]
			for root, book := range loaded {
				delete(in.left, root)
				b.insert(in, book)
			}
		})
	}
	if err != nil {
		return fmt.Errorf("load %d books of partition %d: %w", len(roots), partition, err)
	}
	return nil
}

// book is what is to be read on from the place.
func (at place) book(root log.Root, partition int32) *Book {
	return &Book{
		root: root, partition: partition,
		last: at.before, covers: at.before, opens: at.offset, broken: at.broken,
	}
}
