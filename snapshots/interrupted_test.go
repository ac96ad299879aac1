package snapshots

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	"github.com/redis/go-redis/v9"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// A rebuild that was interrupted leaves nothing that anybody believes, and the next
// one goes as fast as the first.
func TestAnInterruptedRebuild(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 3))
	history := history{log: eventLog{partition: 3}, rand: random}
	whole := scribble(&history.log, random, 40, 1500)
	w := newShelfWorld(t, redistest.Start(t))
	w.log = &history.log
	w.shelf.rebuild = bounds{changes: 25, bytes: usualBounds.bytes, rows: usualBounds.rows, stubs: usualBounds.stubs, chunk: 1 << 10, fold: 4 << 10}
	for _, at := range []int{200, 700, 1450} {
		ctx, cancel := context.WithCancel(t.Context())
		n, before := 0, len(w.rows())
		read := func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
			return w.log.read(ctx, spans, func(r *log.Record) error {
				if n++; n == at {
					eventually(t, "some of it is written", func() bool { return len(w.rows()) > before/2 })
					cancel()
				}
				return fn(r)
			})
		}
		b := w.shelf.Books(1, w.domain)
		if err := b.Restore(ctx, read, map[int32]int64{w.log.partition: w.log.end()}, func(int) {}); err == nil {
			t.Fatal("it was not interrupted")
		}
		if m, why := parseMark(w.raw(), originOf("c", w.domain.EventsID), noon, 1<<62); why != nil || m.offset != 0 {
			t.Fatalf("after %d records the mark is at %d (%v)", at, m.offset, why)
		}
	}
	var scripts, plain atomic.Int64
	w.shelf.client.AddHook(countWrites{&scripts, &plain})
	w.own(1)
	if scripts.Load() > 0 || plain.Load() == 0 {
		t.Errorf("%d books were written by the script, %d commands were plain", scripts.Load(), plain.Load())
	}
	w.reads = 0
	w.check(whole...)
	if w.reads > 0 {
		t.Errorf("%d records were read once it was rebuilt", w.reads)
	}
}

func (w *shelfWorld) raw() string {
	w.t.Helper()
	return w.client().Get(w.t.Context(), keysOf(w.domain.Name, w.log.partition).mark()).Val()
}

// countWrites counts the books that the script gets, and plain commands.
type countWrites struct{ scripts, plain *atomic.Int64 }

func (c countWrites) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c countWrites) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.count(cmd)
		return next(ctx, cmd)
	}
}

func (c countWrites) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, all []redis.Cmder) error {
		for _, cmd := range all {
			c.count(cmd)
		}
		return next(ctx, all)
	}
}

func (c countWrites) count(cmd redis.Cmder) {
	switch args := cmd.Args(); strings.ToLower(cmd.Name()) {
	case "mset", "append":
		c.plain.Add(1)
	case "eval", "evalsha":
		if source := fmt.Sprint(args[1]); source == writeSource || source == redis.NewScript(writeSource).Hash() {
			c.scripts.Add(int64(args[2].(int)-1) / 2)
		}
	}
}

// Wherever a batch is cut off, Redis has all of it or nothing, and the mark says
// which. Without MULTI it would have a part.
func TestABatchOfARebuildIsWhole(t *testing.T) {
	address := redistest.Start(t)
	wire := redistest.NewWire(t, address)
	w := newShelfWorld(t, address)
	for page := range uint32(3) {
		for n := range 4 {
			w.log.page(rootOf(n), page+1, fmt.Sprint("c", n, page), noon)
			if page == 1 && n < 2 {
				w.log.snapshot(rootOf(n), 2, noon)
			}
		}
	}
	half := len(w.log.records) / 2
	cut := openShelf(t, wire.Addr())
	// write has half of the log written, and then the rest until the wire is cut.
	write := func(after int) (before, then map[string]string, moved bool) {
		(&storm{shelfWorld: w}).forget()
		k := newKeeper(w.shelf, w.domain, w.log.partition, 0)
		if err := k.find(t.Context(), w.log.now); err != nil {
			t.Fatal(err)
		}
		known := w.planner(k)
		b, _ := known.plan(foldOf(false, w.log.records[:half]...), 0)
		if err := k.rewrite(t.Context(), b, known.shelf, newShelfID(), 0); err != nil {
			t.Fatal(err)
		}
		before = w.rows()
		b, _ = known.plan(foldOf(false, w.log.records[half:]...), 0)
		if len(b.sets) == 0 || len(b.appends) == 0 {
			t.Fatalf("%d are set, %d appended to: this shows nothing", len(b.sets), len(b.appends))
		}
		next := k.next(w.log.end())
		next.shelf = known.shelf
		wire.Set(redistest.TearsInTwo, after)
		cut.rewrite(t.Context(), k.keys, k.raw, next, known.shelf, b) //nolint:errcheck // whether it was told or not is not the question
		wire.Set(redistest.Passes, 0)
		return before, w.rows(), w.raw() == next.encode()
	}
	from := wire.Passed()
	_, whole, moved := write(1 << 20)
	if !moved {
		t.Fatal("it was not written")
	}
	nothing := 0
	for after, all := 0, wire.Passed()-from; after < all; after += 23 {
		before, then, moved := write(after)
		switch {
		case moved && !maps.Equal(then, whole):
			t.Fatalf("cut off after %d bytes of %d the mark moved, and rows are missing: %d of %d", after, all, len(then), len(whole))
		case !moved && !maps.Equal(then, before):
			t.Fatalf("cut off after %d bytes of %d the mark stands where it was, and rows have changed", after, all)
		case !moved:
			nothing++
		}
	}
	if nothing == 0 {
		t.Error("nothing was ever cut off")
	}
}

// A key may become anything: its book is rebuilt from the log and counted, and holds
// up no other.
func TestAKeyOfAWrongType(t *testing.T) {
	kinds := map[string]func(c redis.UniversalClient, key string) error{
		"a list": func(c redis.UniversalClient, key string) error { return c.RPush(t.Context(), key, "x").Err() },
		"a hash": func(c redis.UniversalClient, key string) error { return c.HSet(t.Context(), key, "x", "y").Err() },
		"a set":  func(c redis.UniversalClient, key string) error { return c.SAdd(t.Context(), key, "x").Err() },
		"a stream": func(c redis.UniversalClient, key string) error {
			return c.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []string{"x", "y"}}).Err()
		},
	}
	keys := map[string]func(k keys, root log.Root) string{
		"mark":    func(k keys, _ log.Root) string { return k.mark() },
		"row":     func(k keys, root log.Root) string { return k.book(root) },
		"history": func(k keys, root log.Root) string { return k.history(root) },
	}
	for kind, become := range kinds {
		for which, of := range keys {
			t.Run(which+" is "+kind, func(t *testing.T) {
				w := newShelfWorld(t, redistest.Start(t))
				counted := w.counting()
				w.own(1)
				snap := func(root log.Root) {
					book := w.get(root)
					book.SetSnapshot(w.log.snapshot(root, book.Last(), noon))
					w.books.Release(book)
				}
				for n := range 3 {
					w.commit(rootOf(n), "a", 2)
					snap(rootOf(n))
					w.commit(rootOf(n), "b", 2)
				}
				w.settled()
				spoil := func() {
					key := of(keysOf(w.domain.Name, w.log.partition), rootOf(1))
					w.client().Del(t.Context(), key)
					if err := become(w.client(), key); err != nil {
						t.Fatal(err)
					}
				}
				mended := func(what string) {
					t.Helper()
					eventually(t, what, func() bool {
						w.reads = 0
						w.check(rootOf(0), rootOf(1), rootOf(2))
						return w.reads == 0
					})
				}
				spoil()
				for n := range 3 { // a page, and then a snapshot, on each
					w.commit(rootOf(n), "c", 1)
				}
				w.settled()
				for n := range 3 {
					snap(rootOf(n))
				}
				w.settled()
				mended("it is mended under its owner")
				spoil()
				w.own(1)
				mended("it is mended by the next owner")
				if which != "mark" && counted() < 2 {
					t.Errorf("%d were counted, and there were 2", counted())
				}
			})
		}
	}
}

// counting has the world count the books that are given up.
func (w *shelfWorld) counting() func() int64 {
	w.t.Helper()
	reader := sdkmetric.NewManualReader()
	metrics, err := NewMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.shelf.metrics = metrics
	return func() int64 { return sum(w.t, reader, "angzarr.shelf.lost") }
}
