package query_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
)

func (w *world) openShelf(address string) *snapshots.Shelf {
	w.Helper()
	metrics, err := snapshots.NewMetrics(noop.Meter{})
	if err != nil {
		w.Fatal(err)
	}
	shelf, err := snapshots.Open(w.Context(), snapshots.Options{Address: address, Metrics: metrics, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(shelf.Close)
	return shelf
}

// shelve brings the shelf to the end of the log, as an owner does that takes over.
func (w *world) shelve(shelf *snapshots.Shelf) {
	w.Helper()
	ends, err := w.admin.HighWatermarks(w.Context(), log.EventsTopic(w.domain.Name))
	if err != nil {
		w.Fatal(err)
	}
	read := func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
		return w.broker.Cluster.Scan(ctx, log.EventsTopic(w.domain.Name), spans, fn)
	}
	books := shelf.Books(1<<20, w.domain)
	if err := books.Restore(w.Context(), read, ends, func(int) {}); err != nil {
		w.Fatal(err)
	}
	for p := range ends {
		books.Drop(p)
	}
}

// same compares what is answered with a shelf and without one.
func (w *world) same(shelved, plain angzarr.EventQueryClient, q *angzarr.Query) {
	w.Helper()
	answer := func(door angzarr.EventQueryClient) *angzarr.EventBook {
		w.query = door
		books, err := w.ask(q)
		if err != nil {
			w.Fatalf("%v: %v", q, err)
		}
		all := &angzarr.EventBook{}
		for _, b := range books {
			proto.Merge(all, b)
		}
		return all
	}
	if got, want := answer(shelved), answer(plain); !proto.Equal(got, want) {
		w.Errorf("%v: by the shelf %s, by the log %s", q, show([]*angzarr.EventBook{got}), show([]*angzarr.EventBook{want}))
	}
}

// Whatever the shelf has, and whatever it lacks, the answer is the log's.
func TestTheShelfAnswersAsTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shelf := w.openShelf(redistest.Start(t))
	plain := w.query
	shelved := w.serveWith(w.broker.Cluster, shelf)
	rng := rand.New(rand.NewPCG(1, 2))
	roots := make([]uuid.UUID, 6)
	for i := range roots {
		roots[i] = uuid.New()
	}
	last := make(map[uuid.UUID]uint32)
	grow := func() {
		for range 20 {
			var records []*kgo.Record
			for range 1 + rng.IntN(6) {
				root := roots[rng.IntN(5)] // the sixth is never written
				last[root]++
				r := w.page(root, last[root], strings.Repeat("x", rng.IntN(500)))
				records = append(records, r)
				if rng.IntN(12) == 0 {
					records = append(records, w.snapshotAt(root, last[root]))
				}
			}
			w.write(records...)
		}
	}
	compare := func() {
		t.Helper()
		for _, root := range roots {
			n := last[root]
			w.same(shelved, plain, w.of(root, 0, 0))
			for range 4 {
				from := uint32(1 + rng.IntN(int(n)+2))
				w.same(shelved, plain, w.of(root, from, 0))
				w.same(shelved, plain, w.of(root, from, from+uint32(rng.IntN(int(n)+2))))
			}
			q := w.of(root, 0, 0)
			q.OpenBook = true
			w.same(shelved, plain, q)
			q = w.of(root, 0, 0)
			q.AsOfTime = timestamppb.New(time.Now())
			w.same(shelved, plain, q)
		}
	}
	wantFrom := func(state, from, not string, all bool) {
		t.Helper()
		before := w.countedFrom(not)
		beforeFrom := w.countedFrom(from)
		compare()
		if n := w.countedFrom(not) - before; all && n > 0 {
			t.Errorf("%s: %d were found by the %s", state, n, not)
		}
		if w.countedFrom(from) == beforeFrom {
			t.Errorf("%s: none was found by the %s", state, from)
		}
	}

	wantFrom("no shelf yet", "log", "shelf", true)
	grow()
	wantFrom("still no shelf", "log", "shelf", true)
	w.shelve(shelf)
	wantFrom("a shelf that is complete", "shelf", "log", true)
	for range 3 {
		grow()
		wantFrom("a shelf that is behind", "shelf", "log", true)
		w.shelve(shelf)
		wantFrom("a shelf that has caught up", "shelf", "log", true)
	}
	w.begin(w.page(roots[0], last[roots[0]]+1, "aborted"))
	w.end(kgo.TryAbort)
	wantFrom("after an abort", "shelf", "log", true)
}

// A long book is read in parts, from Redis as from the log.
func TestLongBooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shelf := w.openShelf(redistest.Start(t))
	plain := w.query
	shelved := w.serveWith(w.broker.Cluster, shelf)
	row, covered := uuid.New(), uuid.New()
	const pages = 6000 // more than one look's places, and bytes
	for n := uint32(1); n <= pages; {
		var records []*kgo.Record
		for range 500 {
			records = append(records, w.page(row, n, strings.Repeat("x", 150)))
			n++
		}
		w.write(records...)
	}
	for n := uint32(1); n <= pages; {
		var records []*kgo.Record
		for range 500 {
			records = append(records, w.page(covered, n, strings.Repeat("y", 150)))
			if n%100 == 0 {
				records = append(records, w.page(uuid.New(), 1, strings.Repeat("z", 5000)))
			}
			n++
		}
		w.write(records...)
	}
	w.write(w.snapshotAt(covered, pages))
	w.write(w.page(covered, pages+1, "y"))
	w.shelve(shelf)
	for _, root := range []uuid.UUID{row, covered} {
		for _, q := range []*angzarr.Query{w.of(root, 0, 0), w.of(root, 4000, 0), w.of(root, 4090, 4110), w.of(root, pages, pages)} {
			w.same(shelved, plain, q)
		}
	}
	if n := w.countedFrom("log"); n > 0 {
		t.Errorf("%d were searched for in the log", n)
	}
}

// A subscriber of a root that resumes long ago reads what the shelf knows.
func TestSynchronizeByTheShelf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shelf := w.openShelf(redistest.Start(t))
	root := uuid.New()
	other := neighbour(w, root)
	n := uint32(0)
	fill := func(own int) {
		for range own {
			n++
			records := []*kgo.Record{w.page(root, n, "x")}
			for range 500 {
				records = append(records, w.page(uuid.New(), 1, ""), w.page(neighbour(w, root), 1, ""))
			}
			w.write(records...)
		}
	}
	_ = other
	fill(12)
	w.write(w.snapshotAt(root, n))
	fill(12)
	w.shelve(shelf)
	fill(2)
	door := w.serveWith(w.broker.Cluster, shelf)
	f := w.follow(door, w.of(root, 0, 0))
	if got := f.numbersOf(26); got != sequence("", 1, 26) {
		t.Errorf("from the start: %s", got)
	}
	if found := w.countedFrom("shelf"); found != 1 {
		t.Errorf("%d were found by the shelf", found)
	}
	f.end()
	middle := w.follow(door, w.of(root, 0, 0))
	if got := middle.numbersOf(5); !strings.HasPrefix(got, "1 2 3 4 5") {
		t.Errorf("the first: %s", got)
	}
	middle.end()
	for at := range 26 {
		q := w.of(root, uint32(at+1), 0)
		if at > 0 {
			q.Position = positionOf(w, door, root, at)
			q.LowerBound = 0
		}
		again := w.follow(door, q)
		if got := again.numbersOf(26 - at); got != sequence("", at+1, 26) {
			t.Errorf("resumed behind page %d: %s", at, got)
		}
		again.end()
	}
}

// positionOf is that of a book whose last page is that one.
func positionOf(w *world, door angzarr.EventQueryClient, root uuid.UUID, page int) []byte {
	f := w.follow(door, w.of(root, uint32(page), uint32(page)))
	defer f.end()
	if got := f.numbersOf(1); got != fmt.Sprint(page) {
		w.Fatalf("got page %s", got)
	}
	return f.last
}

// A Redis that is gone costs time.
func TestRedisGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := redistest.Own(t)
	server.Run()
	shelf := w.openShelf(server.Address)
	root := uuid.New()
	w.write(w.page(root, 1, "x"), w.page(root, 2, "x"))
	w.shelve(shelf)
	plain := w.query
	shelved := w.serveWith(w.broker.Cluster, shelf)
	w.same(shelved, plain, w.of(root, 0, 0))
	server.Flush()
	w.same(shelved, plain, w.of(root, 0, 0))
	server.Kill()
	w.write(w.page(root, 3, "x"))
	w.same(shelved, plain, w.of(root, 0, 0))
	if shelf, log := w.countedFrom("shelf"), w.countedFrom("log"); shelf != 1 || log != 2 {
		t.Errorf("%d were found by the shelf, %d by the log", shelf, log)
	}
}
