package snapshots

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
)

// storm commits and looks at random roots.
type storm struct {
	*shelfWorld
	rand  *rand.Rand
	roots []log.Root
	n     int
	clock time.Time
}

func newStorm(w *shelfWorld, seed uint64, roots int) *storm {
	s := &storm{shelfWorld: w, rand: rand.New(rand.NewPCG(seed, 7)), clock: noon}
	for n := range roots {
		s.roots = append(s.roots, rootOf(n))
	}
	return s
}

func (s *storm) root() log.Root { return s.roots[s.rand.IntN(len(s.roots))] }

// step commits something, as business logic might: pages, at times a snapshot,
// at times one alone. Or it looks at a book.
func (s *storm) step() {
	s.t.Helper()
	root := s.root()
	book := s.get(root)
	defer s.books.Release(book)
	s.n++
	s.clock = s.clock.Add(time.Duration(s.rand.IntN(60)) * time.Second)
	what := s.rand.IntN(20)
	if book.Err() == nil && (book.Erased() || book.Last() > 0 && s.rand.IntN(500) == 0) {
		s.log.eraseOn(book, 1+s.rand.Uint32N(20), s.clock)
		return
	}
	if book.Err() != nil || what < 3 {
		return
	}
	if what < 18 || book.Last() == 0 {
		for range 1 + s.rand.IntN(3) {
			book.AddPage(s.log.page(root, book.Last()+1, fmt.Sprint("c", s.n), s.clock), s.clock)
		}
	}
	if what >= 17 {
		book.SetSnapshot(s.log.snapshot(root, book.Last(), s.clock))
	}
}

func (s *storm) steps(n int) {
	s.t.Helper()
	for range n {
		s.step()
	}
}

// calm wants every book to be the log's: as it is, once the shelf is complete,
// and by the shelf alone for the next owner. What it gives up, it mends.
func (s *storm) calm() {
	s.t.Helper()
	s.check(s.roots...)
	s.settled()
	s.fromTheShelf("what was lost is mended")
	s.own(1)
	s.settled()
	s.fromTheShelf("the next owner finds everything")
}

// fromTheShelf waits until no book needs the log. A machine that is busy may find
// Redis slow once.
func (s *storm) fromTheShelf(what string) {
	s.t.Helper()
	eventually(s.t, what, func() bool {
		s.reads = 0
		s.check(s.roots...)
		return s.reads == 0
	})
}

// Redis fails in the midst of it and comes back: never a wrong book.
func TestRedisFaults(t *testing.T) {
	type env struct {
		server *redistest.Server
		wire   *redistest.Wire
	}
	nothing := func(env) {}
	for _, tc := range []struct {
		name              string
		before, hit, heal func(env)
	}{
		{"away for a while", nothing, func(e env) { e.wire.Set(redistest.HangsUp, 0) }, func(e env) { e.wire.Set(redistest.Passes, 0) }},
		{"silent for a while", nothing, func(e env) { e.wire.Set(redistest.IsSilent, 0) }, func(e env) { e.wire.Set(redistest.Passes, 0) }},
		{"flushed", nothing, func(e env) { e.server.Flush() }, nothing},
		{"restarted empty", nothing, func(e env) { e.server.Kill(); e.server.Run() }, nothing},
		{"away, and restarted empty", nothing, func(e env) { e.server.Kill() }, func(e env) { e.server.Run() }},
		{"restored from an old dump", func(e env) { e.server.Dump() }, func(e env) { e.server.Kill(); e.server.Run() }, nothing},
		{"away, and restored from an old dump", func(e env) { e.server.Dump() }, func(e env) { e.server.Kill() }, func(e env) { e.server.Run() }},
		{"at its memory limit", nothing, func(e env) { e.server.Set("maxmemory", "1") }, func(e env) { e.server.Set("maxmemory", "0") }},
		{"told to evict", nothing, func(e env) { e.server.Set("maxmemory-policy", "allkeys-random"); e.server.Set("maxmemory", "1") },
			func(e env) {
				e.server.Set("maxmemory", "0")
				e.server.Set("maxmemory-policy", "noeviction")
				e.server.Flush()
				e.server.Client().ConfigResetStat(t.Context())
			}},
	} {
		for room, how := range map[int64]string{waitingBytes: "", 20_000: ", more than there is room for"} {
			for limit, where := range map[int]string{1: "", 1 << 20: ", books in memory"} {
				t.Run(tc.name+how+where, func(t *testing.T) {
					t.Parallel()
					server := redistest.Own(t)
					e := env{server, redistest.NewWire(t, server.Address)}
					s := newStorm(newShelfWorld(t, e.wire.Addr()), 1, 30)
					s.shelf.room = room
					s.own(limit)
					s.steps(200)
					s.settled()
					tc.before(e)
					s.steps(200)
					s.settled()
					tc.hit(e)
					s.steps(100)
					s.check(s.roots...)
					tc.heal(e)
					s.steps(100)
					s.calm()
				})
			}
		}
	}
}

func TestRedisIsAwayAtStart(t *testing.T) {
	server := redistest.Own(t)
	server.Kill()
	s := newStorm(newShelfWorld(t, server.Address), 2, 20)
	s.own(1)
	s.steps(100)
	s.check(s.roots...)
	s.own(1)
	s.steps(100)
	server.Run()
	s.steps(100)
	s.calm()
}

// A batch is cut off in the midst of it, or its answer is lost: nobody knows
// what Redis has of it.
func TestHalfABatch(t *testing.T) {
	for _, fate := range []redistest.Fate{redistest.TearsInTwo, redistest.LosesAnswer} {
		t.Run(map[redistest.Fate]string{redistest.TearsInTwo: "half", redistest.LosesAnswer: "without an answer"}[fate], func(t *testing.T) {
			t.Parallel()
			wire := redistest.NewWire(t, redistest.Start(t))
			s := newStorm(newShelfWorld(t, wire.Addr()), 3, 20)
			s.own(20_000)
			s.steps(50)
			for range 40 {
				wire.Set(fate, s.rand.IntN(5000))
				s.steps(10)
				s.settled()
			}
			s.calm()
		})
	}
}

// Whatever is committed, taken over and broken, the shelf's books are a fold of
// the log.
func TestTheShelfEqualsTheLog(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			wire := redistest.NewWire(t, redistest.Start(t))
			s := newStorm(newShelfWorld(t, wire.Addr()), seed, 12)
			s.shelf.room = 30_000
			s.own(1)
			for range 600 {
				switch s.rand.IntN(60) {
				case 0:
					s.own([]int{1, 5_000, 1 << 20}[s.rand.IntN(3)])
				case 1:
					wire.Set(redistest.HangsUp, 0)
				case 2:
					wire.Set(redistest.LosesAnswer, 0)
				case 3:
					wire.Set(redistest.TearsInTwo, s.rand.IntN(3000))
				case 4:
					s.forget()
				case 5:
					s.check(s.root())
				case 6:
					s.spoil(s.root())
				case 7, 8, 9:
					wire.Set(redistest.Passes, 0)
				default:
					s.step()
				}
			}
			wire.Set(redistest.Passes, 0)
			s.calm()
		})
	}
}

// forget deletes all that Redis has of the partition, as a flush does.
func (s *storm) forget() {
	client := s.client()
	keys, err := client.Keys(s.t.Context(), keysOf(s.domain.Name, s.log.partition).prefix+"*").Result()
	if err == nil && len(keys) > 0 {
		client.Del(s.t.Context(), keys...)
	}
}

// spoil changes a byte of what Redis has of a root.
func (s *storm) spoil(root log.Root) {
	k := keysOf(s.domain.Name, s.log.partition)
	for _, key := range []string{k.book(root), k.history(root)} {
		value, err := s.client().Get(s.t.Context(), key).Bytes()
		if err != nil || len(value) == 0 {
			continue
		}
		at := s.rand.IntN(len(value))
		s.client().SetRange(s.t.Context(), key, int64(at), string(value[at]^byte(1+s.rand.IntN(255))))
	}
}
