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
func (b *Books) Restore(ctx context.Context, read Reader, ends map[int32]int64, progress func(records int)) error {
	spans := make(map[int32]log.Span, len(ends))
	for p, end := range ends {
		b.Drop(p)
		spans[p] = log.Span{From: 0, To: end}
	}
	folded := 0
	err := read(ctx, spans, func(r *log.Record) error {
		if folded++; folded%10_000 == 0 {
			progress(folded)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.fold(r)
	})
	if err != nil {
		return fmt.Errorf("fold to the high watermark: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range ends {
		b.partitions[p] = true
	}
	progress(folded)
	return nil
}

// fold adds a record to its book, which may have left memory meanwhile: then it
// is enough to know its place. Called with mu held.
func (b *Books) fold(r *log.Record) error {
	root, sequence, kind := log.ParseKey(r.Key)
	if kind == log.KeyUnknown {
		return nil // nobody of ours wrote it
	}
	book := b.inMemory[root]
	if book == nil {
		if _, elsewhere := b.left[root]; elsewhere {
			return nil
		}
		book = b.insert(&Book{root: root, partition: r.Partition})
	}
	if err := book.fold(r, sequence, kind); err != nil {
		return err
	}
	b.touch(book)
	b.weigh(book)
	b.evict()
	return nil
}

// Load reads books of one partition that left memory, all in one pass from the
// first of their places up to end, the partition's high watermark now. The roots
// must have nothing under way that is not committed.
func (b *Books) Load(ctx context.Context, read Reader, partition int32, end int64, roots []log.Root) error {
	span := log.Span{From: end, To: end}
	loaded := make(map[log.Root]*Book, len(roots))
	b.mu.Lock()
	for _, root := range roots {
		if at, ok := b.left[root]; ok {
			loaded[root] = &Book{
				root: root, partition: partition,
				last: at.before, covers: at.before, opens: at.offset,
			}
			span.From = min(span.From, at.offset)
		}
	}
	b.mu.Unlock()

	err := read(ctx, map[int32]log.Span{partition: span}, func(r *log.Record) error {
		root, sequence, kind := log.ParseKey(r.Key)
		book := loaded[root]
		if book == nil || r.Offset < book.opens {
			return nil // another root's, or older than what is needed
		}
		return book.fold(r, sequence, kind)
	})
	if err != nil {
		return fmt.Errorf("load %d books of partition %d: %w", len(roots), partition, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, restored := b.partitions[partition]; !restored {
		return nil // it was dropped meanwhile
	}
	for root, book := range loaded {
		if _, still := b.left[root]; still {
			delete(b.left, root)
			b.insert(book)
		}
	}
	return nil
}
