package snapshots

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	"github.com/redis/go-redis/v9"
)

// scribble writes a log of random roots: pages, snapshots, erasures, and what
// can't be read or doesn't follow. It gives the roots whose books are whole.
func scribble(l *eventLog, random *rand.Rand, roots, records int) (whole []log.Root) {
	last := make(map[log.Root]uint32)
	gone := make(map[log.Root]bool) // erased or broken
	broken := make(map[log.Root]bool)
	at := noon
	for range records {
		at = at.Add(time.Duration(random.IntN(60)) * time.Second)
		root := rootOf(random.IntN(roots))
		switch what := random.IntN(400); {
		case gone[root]:
			if broken[root] {
				l.page(root, last[root]+1, "after", at)
				last[root]++
			}
		case what == 0 && last[root] > 0:
			l.erase(root, last[root], at)
			gone[root] = true
		case what == 1:
			l.append(log.Record{Key: log.PageKey(root, last[root]+1), Value: []byte("no type")}, at)
			last[root]++
			gone[root], broken[root] = true, true
		case what == 2:
			l.page(root, last[root]+2, "a gap", at)
			last[root] += 2
			gone[root], broken[root] = true, true
		case what < 40 && last[root] > 0:
			l.snapshot(root, last[root], at)
		default:
			last[root]++
			l.page(root, last[root], fmt.Sprint("c", len(l.records)/3), at)
		}
	}
	for root := range last {
		if !broken[root] {
			whole = append(whole, root)
		}
	}
	return whole
}

// rows are all that Redis has of the partition, without the shelf's id.
func (w *shelfWorld) rows() map[string]string {
	w.t.Helper()
	prefix := keysOf(w.domain.Name, w.log.partition).prefix
	keys, err := w.client().Keys(w.t.Context(), prefix+"*").Result()
	if err != nil {
		w.t.Fatal(err)
	}
	found := make(map[string]string)
	for _, key := range keys {
		if name := strings.TrimPrefix(key, prefix); name != "mark" {
			found[name] = w.client().Get(w.t.Context(), key).Val()[idSize:]
		}
	}
	return found
}

// However a rebuild writes them, the rows are those that the script makes, and the
// books are a fold of the log.
func TestARebuiltShelfEqualsTheLog(t *testing.T) {
	all := usualBounds
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 3))
			history := history{log: eventLog{partition: 3}, rand: random}
			changes := []int{1, 7, 100}[seed%3]
			whole := scribble(&history.log, random, 40, min(3000, 500*changes))
			if seed%2 == 1 {
				history.compact()
			}
			var want map[string]string
			for _, tc := range []struct {
				name string
				bounds
			}{
				{"the script alone", bounds{changes, all.bytes, 0, 0, 1 << 10, 1 << 11}},
				{"plain commands, all in memory", bounds{changes, all.bytes, all.rows, all.stubs, all.chunk, all.fold}},
				{"plain commands", bounds{changes, all.bytes, all.rows, all.stubs, 1 << 10, 1 << 11}},
				{"few bytes at a time", bounds{all.changes, 300, all.rows, all.stubs, 100, 1 << 14}},
				{"no stubs are known", bounds{changes, all.bytes, all.rows, 0, 1 << 10, 1 << 12}},
				{"some stubs are known", bounds{changes, all.bytes, all.rows, 20, 1 << 8, 1 << 12}},
				{"some rows are known", bounds{changes, all.bytes, 15, all.stubs, 1 << 10, 1 << 13}},
			} {
				w := newShelfWorld(t, redistest.Start(t))
				w.log, w.shelf.rebuild = &history.log, tc.bounds
				w.own(1)
				got := w.rows()
				if want == nil {
					want = got
				}
				if !maps.Equal(got, want) {
					t.Errorf("%s: the rows are not those of the script: %d and %d", tc.name, len(got), len(want))
					for name, row := range want {
						if got[name] != row {
							t.Errorf("%x:\n%x\nand by the script\n%x", name, got[name], row)
							break
						}
					}
				}
				w.reads = 0
				w.check(whole...)
				if w.reads > 0 {
					t.Errorf("%s: %d records were read once it was rebuilt", tc.name, w.reads)
				}
				for n := range 41 { // one of them new
					w.check(rootOf(n))
				}
			}
		})
	}
}

// rebuilding gives a world whose log is long and whose shelf is gone. The next
// owner's reader calls hit when it has read so many records.
func rebuilding(t *testing.T, address string, seed uint64) *storm {
	s := newStorm(newShelfWorld(t, address), seed, 30)
	s.shelf.rebuild.changes, s.shelf.rebuild.chunk, s.shelf.rebuild.fold = 25, 1<<10, 4<<10
	s.own(1 << 20)
	s.steps(800)
	s.settled()
	s.stop()
	s.forget()
	return s
}

// ownWhile has a new owner rebuild while something happens after some records.
func (s *storm) ownWhile(at int, happens func()) {
	s.t.Helper()
	b := s.shelf.Books(1, s.domain)
	n := 0
	read := func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
		return s.read(ctx, spans, func(r *log.Record) error {
			if n++; n == at {
				happens()
			}
			return fn(r)
		})
	}
	if err := b.Restore(s.t.Context(), read, map[int32]int64{s.log.partition: s.log.end()}, func(int) {}); err != nil {
		s.t.Fatal(err)
	}
	s.books = b
	s.check(s.roots...) // by what there is now
	b.Drop(s.log.partition)
	s.own(1)
	s.calm()
}

// Redis fails in the midst of a rebuild: never a wrong book, and in the end a
// shelf that has everything.
func TestRedisFailsWhileTheShelfIsRebuilt(t *testing.T) {
	type env struct {
		*storm
		server *redistest.Server
		wire   *redistest.Wire
	}
	heals := func(e env) {
		time.AfterFunc(100*time.Millisecond, func() { e.wire.Set(redistest.Passes, 0) })
	}
	dump := func(e env) {
		seen := e.shelf.rebuild.changes * 4
		eventually(e.t, "some of it is written", func() bool { return len(e.rows()) > seen/20 })
		e.server.Dump()
	}
	for name, happens := range map[string]func(e env){
		"away for a moment":   func(e env) { e.wire.Set(redistest.HangsUp, 0); heals(e) },
		"silent for a moment": func(e env) { e.wire.Set(redistest.IsSilent, 0); heals(e) },
		"an answer is lost":   func(e env) { e.wire.Set(redistest.LosesAnswer, 0) },
		"torn early":          func(e env) { e.wire.Set(redistest.TearsInTwo, 300) },
		"torn late":           func(e env) { e.wire.Set(redistest.TearsInTwo, 9000) },
		"flushed":             func(e env) { e.server.Flush() },
		"restarted empty":     func(e env) { e.server.Kill(); e.server.Run() },
		"restored from a dump of just now": func(e env) {
			dump(e)
			e.server.Kill()
			e.server.Run()
		},
		"at its memory limit": func(e env) {
			e.server.Set("maxmemory", "1")
			time.AfterFunc(100*time.Millisecond, func() { e.server.Set("maxmemory", "0") })
		},
		"a row becomes something else": func(e env) {
			eventually(e.t, "some of it is written", func() bool { return len(e.rows()) > 3 })
			k := keysOf(e.domain.Name, e.log.partition)
			for _, root := range e.roots {
				e.client().Del(e.t.Context(), k.book(root))
				e.client().RPush(e.t.Context(), k.book(root), "a list")
			}
		},
		"somebody else rebuilds it, too": func(e env) {
			b := openShelf(e.t, e.server.Address).Books(1, e.domain)
			if err := b.Restore(e.t.Context(), e.log.read, map[int32]int64{e.log.partition: e.log.end()}, func(int) {}); err != nil {
				e.t.Error(err)
			}
			b.Drop(e.log.partition)
		},
		"somebody else begins it anew": func(e env) {
			k := keysOf(e.domain.Name, e.log.partition)
			e.client().Set(e.t.Context(), k.mark(), mark{origin: originOf("c", e.domain.EventsID), shelf: newShelfID(), at: time.Now()}.encode(), 0)
		},
	} {
		for _, at := range []int{1, 150, 300, 600} {
			t.Run(fmt.Sprintf("%s after %d records", name, at), func(t *testing.T) {
				t.Parallel()
				if at == 1 && (strings.Contains(name, "dump") || strings.Contains(name, "row")) {
					t.Skip("nothing is written yet")
				}
				server := redistest.Own(t)
				wire := redistest.NewWire(t, server.Address)
				s := rebuilding(t, wire.Addr(), uint64(at))
				s.ownWhile(at, func() { happens(env{s, server, wire}) })
			})
		}
	}
}

// An old dump comes back, of a moment long before: of this rebuild, or of another.
func TestAnOldDumpComesBackWhileTheShelfIsRebuilt(t *testing.T) {
	server := redistest.Own(t)
	s := newStorm(newShelfWorld(t, server.Address), 1, 30)
	s.shelf.rebuild.changes, s.shelf.rebuild.chunk, s.shelf.rebuild.fold = 25, 1<<10, 4<<10
	s.own(1 << 20)
	s.steps(300)
	s.settled()
	server.Dump() // a shelf that is complete up to here
	s.steps(500)
	s.settled()
	s.stop()
	s.forget()
	s.ownWhile(500, func() { server.Kill(); server.Run() })
}

// A writer of a rebuild that wakes up late changes not a byte, wherever it was.
func TestALateRebuild(t *testing.T) {
	for _, when := range []string{"before it asks for the mark", "after it asked for the mark"} {
		t.Run(when, func(t *testing.T) {
			w := newShelfWorld(t, redistest.Start(t))
			for n := range 20 {
				w.log.page(rootOf(n), 1, fmt.Sprint("c", n), noon)
			}
			w.own(1)
			w.stop()
			k := newKeeper(w.shelf, w.domain, w.log.partition, 0)
			(&storm{shelfWorld: w}).forget()
			if err := k.find(t.Context(), w.log.now); err != nil {
				t.Fatal(err)
			}
			late := w.planner(k)
			b, _ := late.plan(foldOf(true, w.log.records...), 0)
			if len(b.sets) != 20 || len(b.asked) != 0 {
				t.Fatalf("%d keys and %d edits: this shows nothing", len(b.sets), len(b.asked))
			}
			var before map[string]string
			successor := func() {
				w.client().Del(t.Context(), k.keys.mark())
				w.own(1)
				w.settled()
				w.stop()
				before = w.rows()
				before["mark"] = w.client().Get(t.Context(), k.keys.mark()).Val()
			}
			own := openShelf(t, w.shelf.options.Address)
			if when == "before it asks for the mark" {
				successor()
			} else {
				own.client.AddHook(beforeTransactions(successor))
			}
			if _, err := own.rewrite(t.Context(), k.keys, k.raw, k.next(w.log.end()), late.shelf, b); err != errMoved {
				t.Errorf("it was told %v", err)
			}
			after := w.rows()
			after["mark"] = w.client().Get(t.Context(), k.keys.mark()).Val()
			if !maps.Equal(before, after) {
				t.Errorf("it changed what its successor wrote: %v, %v", before, after)
			}
			w.own(1)
			w.reads = 0
			w.check(rootOf(1), rootOf(19))
			if w.reads > 0 {
				t.Error("the log was needed")
			}
		})
	}
}

// planner is one of a rebuild that the keeper is at.
func (w *shelfWorld) planner(k *keeper) *rebuild {
	memory := w.shelf.memory.begin(usualBounds, func() int { return 0 }, false)
	w.t.Cleanup(memory.end)
	return newRebuild(k.keys, k.partition, usualBounds, memory)
}

// foldOf folds records, each into a chunk of its own.
func foldOf(last bool, records ...log.Record) *fold {
	f := newFold()
	f.last = last
	for i := range records {
		for _, c := range changesOf(&records[i]) {
			entry := entryOfChange(&c)
			f.chunks = append(f.chunks, chunk{bytes: make([]byte, 0, linkSize+len(entry))})
			f.add(c.root, entry)
		}
	}
	return f
}

// beforeTransactions is called before one is sent that holds writes.
func beforeTransactions(f func()) redis.Hook { return &beforeTx{f: f} }

type beforeTx struct {
	once sync.Once
	f    func()
}

func (b *beforeTx) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (b *beforeTx) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (b *beforeTx) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) > 1 {
			b.once.Do(b.f)
		}
		return next(ctx, cmds)
	}
}

// Who does not know whether a batch was written asks for the same again, and it is
// there once.
func TestABatchOfARebuildIsAskedForTwice(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	w.log.page(rootOf(1), 1, "a", noon)
	k := newKeeper(w.shelf, w.domain, w.log.partition, 0)
	if err := k.find(t.Context(), w.log.now); err != nil {
		t.Fatal(err)
	}
	known := w.planner(k)
	var was string
	var next mark
	var b *batch
	for sequence := uint32(1); sequence <= 2; sequence++ { // the second one appends
		w.log.page(rootOf(2), sequence, "b", noon)
		was = k.raw
		b, _ = known.plan(foldOf(false, w.log.records[sequence]), 0)
		if err := k.rewrite(t.Context(), b, known.shelf, newShelfID(), 0); err != nil {
			t.Fatal(err)
		}
		next = k.mark
	}
	before := w.rows()
	if _, err := w.shelf.rewrite(t.Context(), k.keys, was, next, known.shelf, b); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if after := w.rows(); len(after) != 1 || !maps.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}

// Of many partitions that have a long way to go, two read ahead at a time; of those
// that are rebuilt, which need all of the memory, one.
func TestLongCatchUpsAtATime(t *testing.T) {
	for name, tc := range map[string]struct{ mark, atATime int64 }{
		"from a mark on":       {1, longOnes},
		"from the log's start": {0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newShelfWorld(t, redistest.Start(t))
			const partitions = 3 * longOnes
			for p := range int32(partitions) {
				m := mark{origin: originOf("c", w.domain.EventsID), shelf: newShelfID(), offset: tc.mark, at: time.Now()}
				w.client().Set(t.Context(), keysOf(w.domain.Name, p).mark(), m.encode(), 0)
			}
			var now, most, begun atomic.Int64
			goOn := make(chan struct{})
			read := func(context.Context, map[int32]log.Span, func(*log.Record) error) error {
				n := now.Add(1)
				defer now.Add(-1)
				begun.Add(1)
				for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
				}
				<-goOn
				return nil
			}
			var all sync.WaitGroup
			for p := range int32(partitions) {
				all.Go(func() {
					b := w.shelf.Books(1, w.domain)
					if err := b.Restore(t.Context(), read, map[int32]int64{p: longWay + 2}, func(int) {}); err != nil {
						t.Error(err)
					}
					b.Drop(p)
				})
			}
			for released := range int64(partitions) {
				eventually(t, "as many as may read", func() bool { return begun.Load() == min(released+tc.atATime, partitions) })
				goOn <- struct{}{}
			}
			all.Wait()
			if most.Load() != tc.atATime {
				t.Errorf("%d read at a time, want %d", most.Load(), tc.atATime)
			}
			// A short one waits for nobody.
			for range longOnes {
				w.shelf.long <- struct{}{}
			}
			w.shelf.reading <- struct{}{}
			w.log.page(rootOf(1), 1, "a", noon)
			w.own(1)
			w.check(rootOf(1))
		})
	}
}
