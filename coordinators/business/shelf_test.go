package business_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric/noop"
)

// withShelf gives a worker a shelf, on a connection of its own.
func withShelf(t *testing.T, address string, limit int) option {
	return func(x *worker, c *business.Config) {
		metrics, err := snapshots.NewMetrics(noop.Meter{})
		if err != nil {
			t.Fatal(err)
		}
		shelf, err := snapshots.Open(t.Context(), snapshots.Options{Address: address, Metrics: metrics, Logger: c.Logger})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(shelf.Close)
		x.books = shelf.Books(limit, c.Domain)
	}
}

// What a worker knows outlives it on the shelf: the books, and which commands
// were applied.
func TestATakeoverFromTheShelf(t *testing.T) {
	w := newWorld(t, 2)
	address := redistest.Start(t)
	x := w.owner(serve(t, simple), withShelf(t, address, 1))
	roots := []log.Root{w.root(0), w.root(1), w.root(0)}
	for n := range 4 {
		for i, root := range roots {
			said := "x"
			if n == 2 {
				said = "snapshot"
			}
			if book := w.must(w.order(root, fmt.Sprint(i, n), said)); book.Pages[0].GetNum() != uint32(n+1) {
				t.Errorf("command %d of root %d led to page %d", n, i, book.Pages[0].GetNum())
			}
		}
	}
	x.crash()
	w.owner(serve(t, simple), withShelf(t, address, 1))
	for i, root := range roots {
		for n := range 4 {
			if book := w.must(w.order(root, fmt.Sprint(i, n), "again")); len(book.Pages) != 1 || book.Pages[0].GetNum() != uint32(n+1) {
				t.Errorf("command %d of root %d again led to %v", n, i, book)
			}
		}
		if book := w.must(w.order(root, fmt.Sprint(i, "more"), "x")); book.Pages[0].GetNum() != 5 {
			t.Errorf("root %d went on with %v", i, book)
		}
	}
	w.quiet()
	w.audit()
}

// Redis fails under load while workers come and go: every page once, every
// answer true.
func TestRedisFaultsUnderLoad(t *testing.T) {
	for name, fault := range map[string]func(*redistest.Server, *redistest.Wire){
		"nothing":         func(*redistest.Server, *redistest.Wire) {},
		"flushed":         func(s *redistest.Server, _ *redistest.Wire) { s.Flush() },
		"restarted empty": func(s *redistest.Server, _ *redistest.Wire) { s.Kill(); s.Run() },
		"an old dump":     func(s *redistest.Server, _ *redistest.Wire) { s.Kill(); s.Run() },
		"away":            func(_ *redistest.Server, wire *redistest.Wire) { wire.Set(redistest.HangsUp, 0) },
		"silent":          func(_ *redistest.Server, wire *redistest.Wire) { wire.Set(redistest.IsSilent, 0) },
		"half a batch":    func(_ *redistest.Server, wire *redistest.Wire) { wire.Set(redistest.TearsInTwo, 300) },
		"full":            func(s *redistest.Server, _ *redistest.Wire) { s.Set("maxmemory", "1") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			server := redistest.Own(t)
			wire := redistest.NewWire(t, server.Address)
			shelf := func() option { return withShelf(t, wire.Addr(), 4000) }
			x := w.owner(serve(t, simple), shelf())
			l := w.load(4, 2, 40)
			l.more()
			if strings.Contains(name, "dump") {
				server.Dump()
			}
			y := w.start(serve(t, simple), shelf())
			l.more()
			fault(server, wire)
			l.more()
			x.crash()
			l.more()
			w.start(serve(t, simple), shelf())
			l.more()
			wire.Set(redistest.Passes, 0)
			server.Set("maxmemory", "0")
			l.more()
			y.stop()
			l.more()
			l.end()
		})
	}
}

// Away when everything starts, Redis is found when it is there.
func TestRedisComesLater(t *testing.T) {
	w := newWorld(t, 1)
	server := redistest.Own(t)
	server.Kill()
	x := w.owner(serve(t, simple), withShelf(t, server.Address, 1))
	var callers sync.WaitGroup
	root := w.root(0)
	for n := range 20 {
		callers.Go(func() {
			for i := range 3 {
				w.must(w.order(w.root(0), fmt.Sprint("new ", n, i), "x"))
				w.must(w.order(root, fmt.Sprint("old ", n, i), "x"))
			}
			if n == 10 {
				server.Run()
			}
		})
	}
	callers.Wait()
	w.quiet()
	if h := w.audit(); len(h.roots[root]) != 60 {
		t.Errorf("the root has %d pages", len(h.roots[root]))
	}
	x.stop()
}

// Who stops leaves a shelf that is complete: nothing but a transaction's marker
// is behind its mark.
func TestAStopLeavesACompleteShelf(t *testing.T) {
	w := newWorld(t, 2)
	address := redistest.Start(t)
	x := w.owner(serve(t, simple), withShelf(t, address, 1<<20))
	for n := range 20 {
		w.must(w.order(w.root(int32(n%2)), fmt.Sprint(n), "x"))
	}
	x.stop()
	ends, err := log.HighWatermarks(t.Context(), w.client, log.EventsTopic(w.domain.Name))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	for p, end := range ends {
		mark := strings.Fields(client.Get(t.Context(), fmt.Sprintf("angzarr:{%s/%d}:mark", w.domain.Name, p)).Val())
		if len(mark) < 5 || mark[4] != fmt.Sprint(end-1) {
			t.Errorf("partition %d ends at %d, and its mark is %q", p, end, mark)
		}
	}
}

// A partition that is ready takes commands while another one is still folded,
// here up to a transaction that is open.
func TestAReadyPartitionDoesNotWaitForOthers(t *testing.T) {
	for name, opts := range map[string][]option{"memory": nil, "redis": {withShelf(t, redistest.Start(t), 1)}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			foreign := w.Client(t, kgo.TransactionalID(w.Domain("foreign")), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			if err := foreign.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			open := &kgo.Record{Topic: log.EventsTopic(w.domain.Name), Partition: 1, Key: []byte("k"), Value: []byte("v")}
			if err := foreign.ProduceSync(t.Context(), open).FirstErr(); err != nil {
				t.Fatal(err)
			}
			x := w.start(serve(t, simple), opts...)
			eventually(t, "one partition is ready", func() bool { return x.Ready() == 1 })
			waits := make(chan error, 1)
			go func() {
				_, err := w.handle(t.Context(), w.order(w.root(1), "waits", "x"))
				waits <- err
			}()
			for n := range 10 {
				w.must(w.order(w.root(0), fmt.Sprint("goes on ", n), "x"))
			}
			if x.Ready() != 1 {
				t.Error("the other partition is ready, too: this shows nothing")
			}
			select {
			case err := <-waits:
				t.Errorf("a command in the other partition was answered: %v", err)
			default:
			}
			if err := foreign.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
				t.Fatal(err)
			}
			if err := <-waits; err != nil {
				t.Error(err)
			}
		})
	}
}
