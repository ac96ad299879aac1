package snapshots

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// eventLog is one partition of an events topic, as those who read it see it.
type eventLog struct {
	partition int32
	mu        sync.Mutex // for those who read while others append
	records   []log.Record
}

// read is a Reader.
func (l *eventLog) read(_ context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
	span := spans[l.partition]
	l.mu.Lock()
	records := l.records
	l.mu.Unlock()
	for i := range records {
		r := records[i] // a copy: what is read is the reader's
		if r.Offset < span.From || r.Offset >= span.To {
			continue
		}
		if err := fn(&r); err != nil && !errors.Is(err, log.ErrStop) {
			return err
		} else if err != nil {
			return nil
		}
	}
	return nil
}

func (l *eventLog) end() int64 {
	if len(l.records) == 0 {
		return 0
	}
	return l.records[len(l.records)-1].Offset + 1
}

// now is an End.
func (l *eventLog) now(context.Context) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end(), nil
}

func endAt(offset int64) End {
	return func(context.Context) (int64, error) { return offset, nil }
}

// append gives the record its place. Every third offset is a marker's.
func (l *eventLog) append(r log.Record, at time.Time) *log.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Partition, r.Offset, r.Time = l.partition, l.end()+int64(len(l.records)%3/2), at
	l.records = append(l.records, r)
	return &l.records[len(l.records)-1]
}

func (l *eventLog) page(root log.Root, sequence uint32, commandID string, at time.Time) *log.Page {
	p := log.Page{
		Root: root, Sequence: sequence, CreatedAt: at.UTC(), TypeURL: "type.googleapis.com/test.Event",
		Value: fmt.Appendf(nil, "%s of %s", commandID, root), Synchronous: sequence%5 == 0,
		Cause: log.Cause{CommandID: commandID, CorrelationID: commandID},
	}
	p.Offset = l.append(p.Encode("test", l.partition), at).Offset
	return &p
}

func (l *eventLog) snapshot(root log.Root, sequence uint32, at time.Time) (*angzarr.Snapshot, int64) {
	s := &angzarr.Snapshot{Sequence: sequence, State: &anypb.Any{TypeUrl: "x/State", Value: fmt.Append(nil, sequence)}}
	return s, l.append(log.Record{Key: log.SnapshotKey(root), Value: encodedOf(s)}, at).Offset
}

func (l *eventLog) erase(root log.Root, last uint32, at time.Time) {
	l.eraseSome(root, &angzarr.Erased{LastSequence: last}, 1, last, at)
}

// eraseSome is one transaction of an erasure. It gives the offset of its word.
func (l *eventLog) eraseSome(root log.Root, e *angzarr.Erased, from, to uint32, at time.Time) int64 {
	offset := l.append(log.Record{Key: log.PageKey(root, 0), Value: encodedOf(e)}, at).Offset
	l.append(log.Record{Key: log.SnapshotKey(root)}, at)
	for n := from; n <= to; n++ {
		l.append(log.Record{Key: log.PageKey(root, n)}, at)
	}
	return offset
}

// eraseOn erases a book, or goes on with that, by at most so many pages.
func (l *eventLog) eraseOn(book *Book, n uint32, at time.Time) {
	e := &angzarr.Erased{LastSequence: book.Last(), PagesLeft: book.Last()}
	if before := book.Erasure(); before != nil {
		if before.PagesLeft == 0 {
			return
		}
		e = proto.Clone(before).(*angzarr.Erased)
	}
	from := e.LastSequence - e.PagesLeft + 1
	n = min(n, e.PagesLeft)
	e.PagesLeft -= n
	book.Erase(e, l.eraseSome(book.root, e, from, from+n-1, at))
}

func encodedOf(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func rootOf(n int) log.Root { return log.Root{0: 1, 15: byte(n)} }

func restored(t *testing.T, l *eventLog, limit int) *Books {
	t.Helper()
	b := NewBooks(limit)
	if err := b.Restore(t.Context(), l.read, map[int32]int64{l.partition: l.end()}, func(int) {}); err != nil {
		t.Fatal(err)
	}
	return b
}

// acquire gets a book, from the log if it left memory.
func acquire(t *testing.T, b *Books, l *eventLog, root log.Root) *Book {
	t.Helper()
	book := b.Acquire(l.partition, root)
	if book == nil {
		if err := b.Load(t.Context(), l.read, l.now, l.partition, []log.Root{root}); err != nil {
			t.Fatal(err)
		}
		if book = b.Acquire(l.partition, root); book == nil {
			t.Fatalf("the book of %s was loaded, and is not there", root)
		}
	}
	return book
}
