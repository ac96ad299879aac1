package snapshots

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	"github.com/redis/go-redis/v9"
)

// pipelines says how many commands each pipeline of a client had.
type pipelines struct {
	mu   sync.Mutex
	seen []int
}

func (p *pipelines) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (p *pipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (p *pipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		p.mu.Lock()
		p.seen = append(p.seen, len(commands))
		p.mu.Unlock()
		return next(ctx, commands)
	}
}

// held lets looks wait until the test has them asked.
func (s *Shelf) held() {
	s.looks.mu.Lock()
	defer s.looks.mu.Unlock()
	s.looks.underWay = true
}

func (s *Shelf) waitingLooks() int {
	s.looks.mu.Lock()
	defer s.looks.mu.Unlock()
	return len(s.looks.waiting)
}

// beside is another partition of the same domain, on the same shelf.
func (w *shelfWorld) beside(partition int32) *shelfWorld {
	other := &shelfWorld{t: w.t, log: &eventLog{partition: partition}, shelf: w.shelf, domain: w.domain, stop: func() {}}
	w.t.Cleanup(func() { other.stop() })
	return other
}

// The looks of many partitions go together, and each gets its own books.
func TestLooksGoTogether(t *testing.T) {
	addresses := map[string]func(t *testing.T) Options{
		"a Redis": func(t *testing.T) Options { return shelfOptions(t, redistest.Start(t)) },
		"a Redis Cluster": func(t *testing.T) Options {
			o := shelfOptions(t, ownCluster(t))
			o.Cluster = true
			return o
		},
	}
	for name, options := range addresses {
		for _, forgotten := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " that has forgotten its scripts"}[forgotten], func(t *testing.T) {
				first := newShelfWorld(t, redistest.Start(t))
				shelf, err := Open(t.Context(), options(t))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(shelf.Close)
				first.shelf = shelf
				lookTogether(t, first, forgotten)
			})
		}
	}
}

func lookTogether(t *testing.T, first *shelfWorld, forgotten bool) {
	const partitions = 6
	roots := []log.Root{rootOf(1), rootOf(2), rootOf(3)}
	worlds := []*shelfWorld{first}
	for n := range int32(partitions - 1) {
		worlds = append(worlds, first.beside(10+n))
	}
	for n, w := range worlds {
		w.own(1 << 20)
		for i, root := range roots {
			w.commit(root, "a", 1+n)
			if i == 0 {
				book := w.get(root)
				book.SetSnapshot(w.log.snapshot(root, book.Last(), noon))
				w.books.Release(book)
			}
			w.commit(root, "b", 1+i)
		}
		w.settled()
		w.own(1 << 20)
		w.reads = 0
	}
	if forgotten {
		if err := first.client().ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	counted := &pipelines{}
	first.client().AddHook(counted)
	first.shelf.held()
	var all sync.WaitGroup
	for _, w := range worlds {
		all.Go(func() {
			if err := w.books.Load(t.Context(), w.read, w.log.now, w.log.partition, roots); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "all wait", func() bool { return first.shelf.waitingLooks() == partitions })
	first.shelf.askOn(&first.shelf.looks)
	all.Wait()
	want := []int{partitions}
	if forgotten {
		want = []int{partitions, partitions}
	}
	if got := counted.seen; len(got) != len(want) || got[0] != partitions {
		t.Errorf("%d looks went as %v, not as %v", partitions, got, want)
	}
	for _, w := range worlds {
		w.check(roots...)
		if w.reads > 0 {
			t.Errorf("partition %d read %d records of the log", w.log.partition, w.reads)
		}
	}
}

// Who gives up does so at once, and nobody looks for it.
func TestALookThatIsGivenUp(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1)
	counted := &pipelines{}
	w.client().AddHook(counted)
	w.shelf.held()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := w.shelf.ask(ctx, &w.shelf.looks, w.keeper().keys.of([]log.Root{rootOf(1)}))
		ended <- err
	}()
	eventually(t, "it waits", func() bool { return w.shelf.waitingLooks() == 1 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it said %v", err)
	}
	w.shelf.askOn(&w.shelf.looks)
	if len(counted.seen) > 0 {
		t.Errorf("%v commands were sent for nobody", counted.seen)
	}
	if w.shelf.trouble.Load() {
		t.Error("Redis was blamed")
	}
	w.commit(rootOf(1), "a", 1) // those that come later are answered
	w.check(rootOf(1))
}

// What does not fit into one look comes with the next.
func TestALookThatIsTooLarge(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	roots := []log.Root{rootOf(1), rootOf(2), rootOf(3), rootOf(4)}
	for _, root := range roots {
		p := log.Page{Root: root, Sequence: 1, CreatedAt: noon, TypeURL: "x/Large", Value: bytes.Repeat([]byte("large"), lookBytes/8)}
		w.log.append(p.Encode("test", w.log.partition), noon)
	}
	w.own(1)
	counted := &pipelines{}
	w.client().AddHook(counted)
	w.reads = 0
	if err := w.books.Load(t.Context(), w.read, w.log.now, w.log.partition, roots); err != nil {
		t.Fatal(err)
	}
	if len(counted.seen) != 2 {
		t.Errorf("books of 5/8 of a look, four of them, took %d looks, not 2", len(counted.seen))
	}
	for _, root := range roots {
		if book := w.books.Acquire(w.log.partition, root); book == nil || book.Last() != 1 {
			t.Errorf("the book of %s is not as it was put there", root)
		}
	}
	if w.reads > 0 {
		t.Errorf("%d records of the log were read", w.reads)
	}
}

// ownCluster is a Redis Cluster of one node.
func ownCluster(t *testing.T) (address string) {
	t.Helper()
	server := redistest.Own(t, "--cluster-enabled", "yes")
	client := server.Client()
	if err := client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster is up", func() bool {
		info, err := client.ClusterInfo(t.Context()).Result()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	})
	return server.Address
}
