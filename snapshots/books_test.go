package snapshots

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

var noon = time.Unix(1_700_000_000, 0)

func TestABookInUseStaysOverTheLimit(t *testing.T) {
	l := &eventLog{}
	l.page(rootOf(1), 1, "a", noon)
	b := restored(t, l, 1)
	if u := b.Usage(); u.Books != 0 || u.Left != 1 || u.Bytes != 0 {
		t.Fatalf("after the fold: %+v, want the only book to have left", u)
	}
	book := acquire(t, b, l, rootOf(1))
	again := b.Acquire(0, rootOf(1))
	if again != book {
		t.Fatal("the book in use is not the one that was given out")
	}
	b.Release(again)
	if u := b.Usage(); u.Books != 1 {
		t.Errorf("a book that one still uses was put out: %+v", u)
	}
	b.Release(book)
	if u := b.Usage(); u.Books != 0 || u.Left != 1 || u.Bytes != 0 {
		t.Errorf("a book that nobody uses stayed: %+v", u)
	}
}

func TestTheLeastRecentlyUsedLeavesFirst(t *testing.T) {
	l := &eventLog{}
	b := restored(t, l, 3*400)
	add := func(n int) {
		book := acquire(t, b, l, rootOf(n))
		if book.Last() == 0 {
			book.AddPage(l.page(rootOf(n), 1, "a", noon), noon)
		}
		b.Release(book)
	}
	for n := 1; b.Usage().Left == 0; n++ {
		add(n)
		add(1) // which is used all the time
	}
	if b.Acquire(0, rootOf(1)) == nil {
		t.Error("the book that was used last had to leave")
	}
	if b.Acquire(0, rootOf(2)) != nil {
		t.Error("the book that was used least recently stayed")
	}
}

func TestUsageIsWhatBooksTake(t *testing.T) {
	l := &eventLog{}
	b := restored(t, l, 1<<20)
	want := 0
	for n := 1; n <= 5; n++ {
		book := acquire(t, b, l, rootOf(n))
		for page := range uint32(n * 30) {
			book.AddPage(l.page(rootOf(n), page+1, string(rune('a'+page)), noon), noon)
		}
		b.Release(book)
		want += book.footprint()
	}
	if got := b.Usage().Bytes; got != want {
		t.Errorf("%d bytes are used, want %d", got, want)
	}
	b.Drop(0)
	if u := b.Usage(); u != (Usage{}) {
		t.Errorf("after the partition was dropped: %+v", u)
	}
}

func TestANewAggregateLeavesNothingBehind(t *testing.T) {
	b := restored(t, &eventLog{}, 1<<20)
	book := b.Acquire(0, rootOf(1))
	b.Release(book)
	if u := b.Usage(); u != (Usage{}) {
		t.Errorf("a command that was refused left %+v", u)
	}
}

func TestABookOfADroppedPartition(t *testing.T) {
	l := &eventLog{}
	l.page(rootOf(1), 1, "a", noon)
	b := restored(t, l, 1<<20)
	old := b.Acquire(0, rootOf(1))
	b.Drop(0)
	l.page(rootOf(1), 2, "b", noon) // another owner's
	if err := b.Restore(t.Context(), l.read, map[int32]int64{0: l.end()}, func(int) {}); err != nil {
		t.Fatal(err)
	}
	b.Release(old) // late
	book := b.Acquire(0, rootOf(1))
	if book == old || book.Last() != 2 {
		t.Errorf("the book of the lost claim came back, with page %d", book.Last())
	}
}

// A worker that lost a partition and got it back must not meet what it began
// before: pages of others lie in between.
func TestWhatBeganBeforeADropChangesNothingAfter(t *testing.T) {
	l := &eventLog{}
	l.page(rootOf(1), 1, "a", noon)
	for name, begin := range map[string]func(context.Context, *Books, Reader) error{
		"restore": func(ctx context.Context, b *Books, read Reader) error {
			return b.Restore(ctx, read, map[int32]int64{0: 1}, func(int) {})
		},
		"load": func(ctx context.Context, b *Books, read Reader) error {
			return b.Load(ctx, read, endAt(1), 0, []log.Root{rootOf(1)})
		},
	} {
		for where, after := range map[string]bool{"before its records": false, "after them": true} {
			t.Run(name+", lost "+where, func(t *testing.T) {
				l := &eventLog{records: append([]log.Record(nil), l.records...)}
				b := restored(t, l, 1)
				ctx, lost := context.WithCancel(t.Context())
				regain := func() {
					lost()
					b.Drop(0)
					l.page(rootOf(1), 2, "b", noon)
					if err := b.Restore(t.Context(), l.read, map[int32]int64{0: l.end()}, func(int) {}); err != nil {
						t.Error(err)
					}
				}
				err := begin(ctx, b, func(_ context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
					if !after {
						regain()
					}
					if err := l.read(ctx, spans, fn); err != nil {
						return err
					}
					if after {
						regain()
					}
					return nil
				})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("it said %v", err)
				}
				book := acquire(t, b, l, rootOf(1))
				if book.Last() != 2 || book.Err() != nil {
					t.Errorf("the book has page %d (%v), want 2", book.Last(), book.Err())
				}
			})
		}
	}
}

func TestABookThatCanNotBeUsed(t *testing.T) {
	gap := func(l *eventLog) { l.page(rootOf(1), 4, "gap", noon) }
	for name, spoil := range map[string]func(*eventLog){
		"a page that is missing": gap,
		"a page twice":           func(l *eventLog) { l.page(rootOf(1), 2, "twice", noon) },
		"a snapshot of no last page": func(l *eventLog) {
			l.snapshot(rootOf(1), 1, noon)
		},
		"a page without a type": func(l *eventLog) {
			l.append(log.Record{Key: log.PageKey(rootOf(1), 3), Value: []byte("x")}, noon)
		},
		"a page of a type that is no text": func(l *eventLog) {
			l.append(log.Record{Key: log.PageKey(rootOf(1), 3), Value: []byte("x"),
				Headers: []log.Header{{Key: "ce_type", Value: []byte("a\xff")}}}, noon)
		},
		"a snapshot that is none": func(l *eventLog) {
			l.append(log.Record{Key: log.SnapshotKey(rootOf(1)), Value: []byte("x")}, noon)
		},
		"an erasure that is none": func(l *eventLog) {
			l.append(log.Record{Key: log.PageKey(rootOf(1), 0), Value: []byte("x")}, noon)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := &eventLog{}
			l.page(rootOf(1), 1, "a", noon)
			l.page(rootOf(1), 2, "b", noon)
			l.page(rootOf(2), 1, "a", noon)
			spoil(l)
			for limit, where := range map[int]string{1 << 20: "in memory", 1: "after it left"} {
				b := restored(t, l, limit)
				if book := acquire(t, b, l, rootOf(1)); !errors.Is(book.Err(), ErrBroken) {
					t.Errorf("%s: %v, want that it is broken", where, book.Err())
				}
				if n := len(b.Broken(0)); n != 1 {
					t.Errorf("%s: %d books are said to be broken", where, n)
				}
				if book := acquire(t, b, l, rootOf(2)); book.Err() != nil || book.Last() != 1 {
					t.Errorf("%s: another root's book has page %d, %v", where, book.Last(), book.Err())
				}
			}
		})
	}
}

// The break lies before the first page that has to be read for what is still
// remembered.
func TestABreakIsNotForgottenBehindASnapshot(t *testing.T) {
	l := &eventLog{}
	l.page(rootOf(1), 1, "a", noon)
	for n := uint32(3); n < 400; n++ {
		l.page(rootOf(1), n, "c"+string(rune(n)), noon.Add(time.Duration(n)*time.Minute))
	}
	l.snapshot(rootOf(1), 399, noon)
	b := restored(t, l, 1)
	for range 2 { // the second time from where it is remembered
		book := acquire(t, b, l, rootOf(1))
		if !errors.Is(book.Err(), ErrBroken) {
			t.Errorf("%v, want that it is broken", book.Err())
		}
		b.Release(book)
	}
}

func TestALoadReadsNoMoreThanItNeeds(t *testing.T) {
	l := &eventLog{}
	for n := uint32(1); n <= 100; n++ {
		l.page(rootOf(1), n, "a", noon)
	}
	l.snapshot(rootOf(1), 100, noon)
	first := l.page(rootOf(2), 1, "a", noon).Offset
	b := restored(t, l, 1<<20)
	b.limit = 0
	b.Release(acquire(t, b, l, rootOf(2)))
	err := b.Load(t.Context(), func(_ context.Context, spans map[int32]log.Span, _ func(*log.Record) error) error {
		if got, want := spans[0], (log.Span{From: first, To: l.end()}); got != want {
			t.Errorf("it reads %v, want %v", got, want)
		}
		return errors.New("enough")
	}, l.now, 0, []log.Root{rootOf(2)})
	if err == nil || b.Acquire(0, rootOf(2)) != nil {
		t.Errorf("a book that could not be read is there (%v)", err)
	}
}

func TestErasedStaysErased(t *testing.T) {
	l := &eventLog{}
	for n := uint32(1); n <= 3; n++ {
		l.page(rootOf(1), n, "a", noon)
	}
	l.erase(rootOf(1), 3, noon)
	cases := map[string]func(log.Record) bool{
		"nothing compacted":         func(log.Record) bool { return true },
		"a page in the middle gone": func(r log.Record) bool { return r.Offset != l.records[1].Offset },
		"all pages gone":            func(r log.Record) bool { return len(r.Key) != 20 || r.Key[19] == 0 },
		"only the erasure left":     func(r log.Record) bool { return len(r.Key) == 20 && r.Key[19] == 0 },
	}
	for name, keep := range cases {
		t.Run(name, func(t *testing.T) {
			compacted := &eventLog{}
			for _, r := range l.records {
				if keep(r) {
					compacted.records = append(compacted.records, r)
				}
			}
			for _, limit := range []int{1 << 20, 1} {
				b := restored(t, compacted, limit)
				for range 2 { // it stays so once it was in use
					book := acquire(t, b, compacted, rootOf(1))
					if !book.Erased() || book.Last() != 3 || book.Err() != nil || book.Size() != 0 {
						t.Errorf("limit %d: erased %v, last %d, %v", limit, book.Erased(), book.Last(), book.Err())
					}
					if _, known := book.Applied("a"); known {
						t.Error("a command of an erased aggregate is remembered")
					}
					b.Release(book)
				}
			}
		})
	}
}

func TestWhatNobodyOfOursWrote(t *testing.T) {
	l := &eventLog{}
	for _, key := range [][]byte{nil, {}, []byte("root"), make([]byte, 15), make([]byte, 17), make([]byte, 21)} {
		l.append(log.Record{Key: key, Value: []byte("x")}, noon)
	}
	l.append(log.Record{Key: log.PageKey(rootOf(1), 7)}, noon) // a tombstone of nothing
	if u := restored(t, l, 1<<20).Usage(); u != (Usage{}) {
		t.Errorf("it led to %+v", u)
	}
}
