package snapshots

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/metric/noop"
)

// bound is how long a test waits for what must come.
const (
	bound = 20 * time.Second
	day   = 24 * time.Hour
)

// shelfWorld is one partition of a domain with a shelf, and its log.
type shelfWorld struct {
	t      *testing.T
	log    *eventLog
	shelf  *Shelf
	domain log.Domain
	books  *Books
	stop   func() // ends the owner
	reads  int    // records that were read from the log
}

func newShelfWorld(t *testing.T, address string) *shelfWorld {
	t.Helper()
	var random [6]byte
	rand.Read(random[:])
	w := &shelfWorld{
		t: t, log: &eventLog{partition: 3}, shelf: openShelf(t, address),
		domain: log.Domain{Name: "d-" + hex.EncodeToString(random[:]), ClusterID: "c", EventsID: [16]byte{1}, TombstoneRetention: 7 * day},
	}
	w.stop = func() {}
	t.Cleanup(func() { w.stop() })
	return w
}

func openShelf(t *testing.T, address string) *Shelf {
	t.Helper()
	s, err := Open(t.Context(), shelfOptions(t, address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func shelfOptions(t *testing.T, address string) Options {
	t.Helper()
	metrics, err := NewMetrics(noop.Meter{})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Address: address, Metrics: metrics, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
}

// own has a new owner take the partition over, with so much memory.
func (w *shelfWorld) own(limit int) *Books {
	w.t.Helper()
	w.stop()
	b := w.shelf.Books(limit, w.domain)
	ctx, cancel := context.WithCancel(context.Background())
	if err := b.Restore(ctx, w.read, map[int32]int64{w.log.partition: w.log.end()}, func(int) {}); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Keep(ctx, w.log.read, w.log.now, w.log.partition)
	}()
	w.books = b
	w.stop = func() {
		cancel()
		b.Drop(w.log.partition)
		<-ended
		w.stop = func() {}
		if n := w.shelf.waiting.Load(); n != 0 {
			w.t.Errorf("its owner has ended, and %d bytes wait to be written", n)
		}
	}
	return b
}

// read is a Reader that counts.
func (w *shelfWorld) read(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
	return w.log.read(ctx, spans, func(r *log.Record) error {
		w.reads++
		return fn(r)
	})
}

// get acquires a book as a worker does.
func (w *shelfWorld) get(root log.Root) *Book {
	w.t.Helper()
	for range 100 {
		if book := w.books.Acquire(w.log.partition, root); book != nil {
			return book
		}
		if err := w.books.Load(w.t.Context(), w.read, w.log.now, w.log.partition, []log.Root{root}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.t.Fatalf("the book of %s was loaded, and is not there", root)
	return nil
}

// commit adds so many pages to a root.
func (w *shelfWorld) commit(root log.Root, id string, pages int) {
	w.t.Helper()
	book := w.get(root)
	defer w.books.Release(book)
	for range pages {
		book.AddPage(w.log.page(root, book.Last()+1, id, noon), noon)
	}
}

// settled waits until the shelf has everything.
func (w *shelfWorld) settled() {
	w.t.Helper()
	k := w.keeper()
	eventually(w.t, "the shelf is complete", func() bool {
		k.waiting.mu.Lock()
		to := k.to
		k.waiting.mu.Unlock()
		return k.settled.Load() >= to
	})
}

func (w *shelfWorld) keeper() *keeper {
	w.books.mu.Lock()
	defer w.books.mu.Unlock()
	return w.books.partitions[w.log.partition].keeper
}

// check compares what the owner knows with a fold of the log.
func (w *shelfWorld) check(roots ...log.Root) {
	w.t.Helper()
	fold := restored(w.t, w.log, 1<<30)
	for _, root := range roots {
		got, want := w.get(root), fold.Acquire(w.log.partition, root)
		sameBook(w.t, root, got, want)
		sameCommands(w.t, root, got, want)
		w.books.Release(got)
	}
}

func (w *shelfWorld) client() redis.UniversalClient { return w.shelf.client }

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("after %v: not so: %s", bound, what)
		}
	}
}

func TestBooksComeFromTheShelf(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1) // nothing stays in memory
	var roots []log.Root
	for n := range 50 {
		roots = append(roots, rootOf(n))
		for c := range n % 7 {
			w.commit(rootOf(n), fmt.Sprint(n, "/", c), 1+c%2)
		}
	}
	w.settled()
	w.reads = 0
	w.check(roots...)
	if w.reads > 0 {
		t.Errorf("%d records of the log were read for books that the shelf has", w.reads)
	}
	if u := w.books.Usage(); u.Left != 0 {
		t.Errorf("%d roots that left memory are remembered there", u.Left)
	}
	w.own(1)
	if w.reads > 0 {
		t.Errorf("a takeover with a full shelf read %d records", w.reads)
	}
	w.check(roots...)
	if w.reads > 0 {
		t.Errorf("after a takeover %d records of the log were read", w.reads)
	}
}

// Who asks for a book twice must not get back what it was when it was asked for
// first.
func TestABookThatIsThereIsNotReadAgain(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1 << 20)
	w.commit(rootOf(1), "a", 1)
	w.shelf.trouble.Store(true) // so that it takes the log
	err := w.books.Load(t.Context(), func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
		if err := w.log.read(ctx, spans, fn); err != nil {
			return err
		}
		w.commit(rootOf(1), "b", 1)
		w.books.limit = 1
		w.books.Release(w.books.Acquire(w.log.partition, rootOf(1))) // it leaves
		return nil
	}, w.log.now, w.log.partition, []log.Root{rootOf(1), rootOf(2)})
	if err != nil {
		t.Fatal(err)
	}
	w.check(rootOf(1), rootOf(2))
}

// Who gives a partition up leaves nothing behind that waits to be written: the
// next owner reads nothing of the log.
func TestFlushBeforeAPartitionIsGivenUp(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1 << 20)
	w.commit(rootOf(1), "a", 1)
	w.settled()
	for n := range 100 {
		w.commit(rootOf(n), fmt.Sprint("b", n), 1)
	}
	w.books.Flush(t.Context(), []int32{w.log.partition, 77})
	if k := w.keeper(); k.settled.Load() < k.upTo() {
		t.Errorf("the shelf is complete up to %d, and there is more up to %d", k.settled.Load(), k.upTo())
	}
	w.stop()
	w.reads = 0
	w.own(1 << 20)
	if w.reads > 0 {
		t.Errorf("the next owner read %d records", w.reads)
	}
}

// A Redis that keeps silent holds nobody up for long who gives a partition up.
func TestFlushIsBounded(t *testing.T) {
	wire := redistest.NewWire(t, redistest.Start(t))
	w := newShelfWorld(t, wire.Addr())
	w.own(1 << 20)
	w.commit(rootOf(1), "a", 1)
	w.settled()
	wire.Set(redistest.IsSilent, 0)
	w.commit(rootOf(1), "b", 1)
	begun := time.Now()
	w.books.Flush(t.Context(), []int32{w.log.partition})
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

// What was erased is gone from Redis, too.
func TestErasedFromTheShelf(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1)
	root := rootOf(1)
	w.commit(root, "secret", 3)
	book := w.get(root)
	book.SetSnapshot(w.log.snapshot(root, 3, noon))
	w.books.Release(book)
	w.commit(root, "secret", 2)
	w.settled()
	stored := func() string {
		k := keysOf(w.domain.Name, w.log.partition)
		return w.client().Get(t.Context(), k.book(root)).Val() + w.client().Get(t.Context(), k.history(root)).Val()
	}
	if !strings.Contains(stored(), "secret") || len(stored()) < 3*stubSize {
		t.Fatalf("the shelf has %q", stored())
	}
	for range 3 { // in three transactions
		book = w.get(root)
		w.log.eraseOn(book, 2, noon)
		w.books.Release(book)
		w.settled()
		if strings.Contains(stored(), "secret") || len(stored()) > 80 {
			t.Errorf("the shelf has %q", stored())
		}
		w.check(root)
	}
	w.own(1)
	w.check(root)
	if book = w.get(root); book.Erasure().GetPagesLeft() != 0 || book.Last() != 5 {
		t.Errorf("the next owner has %v", book.Erasure())
	}
	w.books.Release(book)
}
