package snapshots

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// rolledBack gives a world in which a root's last page, and the mark after it,
// are no longer on the shelf, and its owner has let go of the book.
func rolledBack(t *testing.T) *shelfWorld {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1)
	w.commit(rootOf(1), "a", 1)
	w.settled()
	k := keysOf(w.domain.Name, w.log.partition)
	old := make(map[string]string)
	for _, key := range []string{k.mark(), k.book(rootOf(1))} {
		old[key] = w.client().Get(t.Context(), key).Val()
	}
	w.commit(rootOf(1), "b", 1)
	w.settled()
	for key, value := range old {
		w.client().Set(t.Context(), key, value, 0)
	}
	return w
}

// A shelf that has gone back is believed only up to its mark. Without that a
// stale book would be taken for the whole.
func TestAShelfThatHasGoneBack(t *testing.T) {
	w := rolledBack(t)
	w.check(rootOf(1))

	w = rolledBack(t)
	w.books.partitions[w.log.partition].needed = 0 // the rule is off
	w.keeper().settled.Store(0)
	if book := w.get(rootOf(1)); book.Last() != 1 {
		t.Errorf("page %d: this shows nothing", book.Last())
	}
}

// A writer goes on only where the mark is what it left: else what Redis has lost
// would be passed over.
func TestAWriterThatDoesNotAskForTheMark(t *testing.T) {
	for name, asks := range map[string]bool{"one that asks": true, "one that doesn't": false} {
		t.Run(name, func(t *testing.T) {
			w := rolledBack(t)
			k := w.keeper()
			w.stop()
			was, next := k.raw, k.mark
			if !asks {
				was = w.client().Get(t.Context(), k.keys.mark()).Val()
			}
			next.offset = w.log.end()
			_, err := w.shelf.put(t.Context(), k.keys, was, next, nil)
			if asks != (err == errMoved) {
				t.Fatalf("it was told %v", err)
			}
			fresh := w.shelf.Books(1, w.domain)
			if err := fresh.Restore(t.Context(), w.log.read, map[int32]int64{w.log.partition: w.log.end()}, func(int) {}); err != nil {
				t.Fatal(err)
			}
			w.books = fresh
			defer fresh.Drop(w.log.partition)
			if last := w.get(rootOf(1)).Last(); asks != (last == 2) {
				t.Errorf("the next owner finds page %d", last)
			}
		})
	}
}

// An owner that lost its partition, and does not know it, changes nothing on the
// shelf of its successor.
func TestALateWriter(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1)
	w.commit(rootOf(1), "a", 1)
	w.settled()
	late := w.keeper()
	raw, next := late.raw, late.mark
	stale := editsOf(3, []change{pageChange(rootOf(1), 2, 999, noon.Unix(), digestOf("x"), appendPage(nil, &log.Page{Sequence: 2}))})
	w.own(1)
	w.commit(rootOf(1), "b", 1)
	w.settled()
	next.offset = 1000
	if _, err := w.shelf.put(t.Context(), late.keys, raw, next, stale); err != errMoved {
		t.Errorf("a late write: %v", err)
	}
	w.check(rootOf(1))
	w.own(1)
	w.check(rootOf(1))
}

// An owner whose claim has ended writes no more, although changes still come in.
func TestALostClaimWritesNoMore(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1 << 20)
	book := w.get(rootOf(1))
	k := w.keeper()
	before := w.client().Get(t.Context(), k.keys.mark()).Val()
	w.stop()
	book.AddPage(w.log.page(rootOf(1), 1, "a", noon), noon)
	if n := w.shelf.waiting.Load(); n != 0 || len(k.changes) != 0 {
		t.Errorf("%d bytes wait, of %d changes", n, len(k.changes))
	}
	if after := w.client().Get(t.Context(), k.keys.mark()).Val(); after != before {
		t.Errorf("the mark moved from %s to %s", before, after)
	}
}

// Shelves that can't be believed are rebuilt.
func TestAShelfOfAnotherLog(t *testing.T) {
	for name, spoil := range map[string]func(w *shelfWorld){
		"another cluster":   func(w *shelfWorld) { w.domain.ClusterID = "other" },
		"a topic made anew": func(w *shelfWorld) { w.domain.EventsID[0]++ },
		"an older format": func(w *shelfWorld) {
			key := keysOf(w.domain.Name, w.log.partition).mark()
			raw := w.client().Get(w.t.Context(), key).Val()
			w.client().Set(w.t.Context(), key, strings.Replace(raw, "angzarr 1", "angzarr 0", 1), 0)
		},
		"tombstones may be missing": func(w *shelfWorld) {
			key := keysOf(w.domain.Name, w.log.partition).mark()
			m, _ := parseMark(w.client().Get(w.t.Context(), key).Val(), originOf(w.domain.ClusterID, w.domain.EventsID), time.Now(), day)
			m.at = m.at.Add(-4 * day)
			w.client().Set(w.t.Context(), key, m.encode(), 0)
		},
		"longer than the log": func(w *shelfWorld) { w.log.records = w.log.records[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			w := newShelfWorld(t, redistest.Start(t))
			w.own(1)
			for n := range 5 {
				w.commit(rootOf(n), "a", 3)
			}
			w.settled()
			w.stop()
			// The log of that name has other pages.
			w.log = &eventLog{partition: 3}
			for range 10 {
				w.log.page(rootOf(9), uint32(len(w.log.records)+1), "b", noon)
			}
			spoil(w)
			w.own(1)
			w.settled()
			w.reads = 0
			w.check(rootOf(9))
			if w.reads > 0 {
				t.Errorf("%d records were read once it was rebuilt", w.reads)
			}
			w.check(rootOf(0), rootOf(1)) // whose books of old are still there
		})
	}
}

// Whatever byte of a book is changed, the log has the book, and Redis gets it back.
func TestACorruptBook(t *testing.T) {
	t.Parallel()
	w := newShelfWorld(t, redistest.Start(t))
	reader := sdkmetric.NewManualReader()
	metrics, err := NewMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"))
	if err != nil {
		t.Fatal(err)
	}
	w.shelf.metrics = metrics
	w.own(1)
	s := &storm{shelfWorld: w}
	w.commit(rootOf(1), "a", 2)
	book := w.get(rootOf(1))
	book.SetSnapshot(w.log.snapshot(rootOf(1), 2, noon))
	w.books.Release(book)
	w.commit(rootOf(1), "b", 2)
	w.settled()
	k := keysOf(w.domain.Name, w.log.partition)
	n := 0
	for _, key := range []string{k.book(rootOf(1)), k.history(rootOf(1))} {
		for at := range len(w.client().Get(t.Context(), key).Val()) {
			raw := w.client().Get(t.Context(), key).Val()
			w.client().SetRange(t.Context(), key, int64(at), string(raw[at]^0x20))
			w.check(rootOf(1))
			n++
			eventually(t, "the book is mended", func() bool {
				w.reads = 0
				w.check(rootOf(1))
				return w.reads == 0
			})
		}
	}
	if got := sum(t, reader, "angzarr.shelf.lost"); got < int64(n) {
		t.Errorf("%d corrupt books were counted, and there were %d", got, n)
	}
	s.calm()
}

func sum(t *testing.T, reader sdkmetric.Reader, name string) (n int64) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if counter, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == name {
				for _, p := range counter.DataPoints {
					n += p.Value
				}
			}
		}
	}
	return n
}

// What a snapshot covers is remembered all the same, for as long as it must be.
func TestCommandsBehindASnapshotOnTheShelf(t *testing.T) {
	for name, between := range map[string]time.Duration{"many in a moment": time.Millisecond, "long ago": time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newShelfWorld(t, redistest.Start(t))
			w.own(1 << 20)
			book := w.get(rootOf(1))
			for n := range 1500 {
				at := noon.Add(time.Duration(n) * between)
				book.AddPage(w.log.page(rootOf(1), uint32(n+1), fmt.Sprint(n), at), at)
				if n%100 == 99 {
					book.SetSnapshot(w.log.snapshot(rootOf(1), uint32(n+1), at))
				}
			}
			w.books.Release(book)
			w.settled()
			w.own(1)
			w.check(rootOf(1))
		})
	}
}

// What a page costs to write does not grow with its book.
func TestAPageIsAppended(t *testing.T) {
	wire := redistest.NewWire(t, redistest.Start(t))
	w := newShelfWorld(t, wire.Addr())
	w.own(1 << 20)
	w.commit(rootOf(1), "a", 1)
	w.settled()
	cost := func() int {
		before := wire.Passed()
		w.commit(rootOf(1), "b", 1)
		w.settled()
		return wire.Passed() - before
	}
	small := cost()
	w.commit(rootOf(1), "many", 3000)
	w.settled()
	if large := cost(); large > small+10 {
		t.Errorf("a page took %d bytes to write at the start, and %d after 3000 others", small, large)
	}
}
