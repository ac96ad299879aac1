package projector_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/projector"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// server is a projector of which each method may be there or not.
type server struct {
	angzarr.UnimplementedProjectorServer
	plain func(*angzarr.EventBook) error
	sync  func(*angzarr.EventBook) (*angzarr.Projection, error)

	asked  atomic.Int32 // calls of Handle
	mu     sync.Mutex
	traces map[string]bool
}

func (s *server) Handle(ctx context.Context, b *angzarr.EventBook) (*emptypb.Empty, error) {
	s.asked.Add(1)
	if s.plain == nil {
		return s.UnimplementedProjectorServer.Handle(ctx, b)
	}
	return &emptypb.Empty{}, s.plain(b)
}

func (s *server) HandleSync(ctx context.Context, b *angzarr.EventBook) (*angzarr.Projection, error) {
	if s.sync == nil {
		return s.UnimplementedProjectorServer.HandleSync(ctx, b)
	}
	in, _ := metadata.FromIncomingContext(ctx)
	s.mu.Lock()
	s.traces = map[string]bool{strings.Join(in.Get("traceparent"), " "): true}
	s.mu.Unlock()
	return s.sync(b)
}

func register(s *server) func(grpc.ServiceRegistrar) {
	return func(r grpc.ServiceRegistrar) { angzarr.RegisterProjectorServer(r, s) }
}

// joined is a projector whose state of a root is all that its events say, and
// survives it, as a database does.
type joined struct {
	mu   sync.Mutex
	last map[string]uint32
	all  map[string]string
	runs int
}

func (j *joined) sync(b *angzarr.EventBook) (*angzarr.Projection, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.last == nil {
		j.last, j.all = make(map[string]uint32), make(map[string]string)
	}
	j.runs++
	root := string(b.Cover.Root.Value)
	for _, p := range b.Pages {
		if p.GetNum() > j.last[root] {
			j.last[root] = p.GetNum()
			j.all[root] += reactortest.TextOf(p.Event) + " "
		}
	}
	return &angzarr.Projection{Cover: b.Cover, Projection: reactortest.Text(j.all[root])}, nil
}

type world struct {
	*reactortest.World
	t    *testing.T
	name string
	log.Projections
}

func newWorld(t *testing.T, partitions int32) *world {
	t.Helper()
	t.Parallel()
	w := &world{World: reactortest.New(t, partitions), t: t}
	w.name = w.Broker.Domain("summary")
	var err error
	if w.Projections, err = w.Admin().EnsureProjections(t.Context(), w.name, log.TopicSettings{Partitions: 3, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) projector(conn grpc.ClientConnInterface) *projector.Projector {
	return projector.New(projector.Config{Name: w.name, Conn: conn, Projections: w.Projections, Answer: 2 << 20})
}

// published is the latest projection of each root.
func (w *world) published() map[log.Root]*angzarr.Projection {
	w.t.Helper()
	latest := make(map[log.Root]*angzarr.Projection)
	for _, r := range logtest.ReadCommitted(w.t, w.Cluster, log.ProjectionsTopic(w.name)) {
		if r.Value == nil {
			latest[log.Root(r.Key)] = nil // its root was erased
			continue
		}
		p := &angzarr.Projection{}
		if err := proto.Unmarshal(r.Value, p); err != nil {
			w.t.Fatal(err)
		}
		root := log.Root(r.Key)
		if before := latest[root]; before != nil && before.Sequence >= p.Sequence {
			w.t.Errorf("root %s: the projection of page %d comes after that of page %d", root, p.Sequence, before.Sequence)
		}
		latest[root] = p
	}
	return latest
}

func (w *world) put(roots []log.Root, from, to int) {
	w.t.Helper()
	for j := from; j <= to; j++ {
		for _, root := range roots {
			w.Put(root, fmt.Sprint(j))
		}
	}
}

// wantAll wants the latest projections to cover n pages of each root.
func (w *world) wantAll(roots []log.Root, n uint32) {
	w.t.Helper()
	latest := w.published()
	for _, root := range roots {
		var want strings.Builder
		for j := range n {
			fmt.Fprint(&want, j+1, " ")
		}
		p := latest[root]
		if p.GetSequence() != n || reactortest.TextOf(p.GetProjection()) != want.String() || p.Projector != w.name ||
			p.Cover.GetDomain() != w.World.Domain.Name || string(p.Cover.Root.GetValue()) != string(root[:]) {
			w.t.Errorf("root %s: the latest projection is %v, want that of page %d", root, p, n)
		}
	}
}

func TestProjectionsArePublished(t *testing.T) {
	w := newWorld(t, 2)
	roots := w.Roots(10)
	s, state := &server{}, &joined{}
	s.sync = state.sync
	w.put(roots, 1, 3)
	w.Start(w.name, w.projector(reactortest.Serve(t, register(s))))
	w.put(roots, 4, 5)
	w.Done(w.Group(w.name))
	w.wantAll(roots, 5)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.traces[reactortest.Trace] {
		t.Errorf("the trace did not go along: %v", s.traces)
	}
}

// An erased root's projection gets a tombstone behind that of its last page, also
// where that page is tried several times, and where the worker dies.
func TestProjectionsOfErasedRoots(t *testing.T) {
	w := newWorld(t, 2)
	roots := w.Roots(4)
	s, state := &server{}, &joined{}
	var fails atomic.Int32
	fails.Store(2)
	s.sync = func(b *angzarr.EventBook) (*angzarr.Projection, error) {
		if b.Pages[len(b.Pages)-1].GetNum() == 3 && string(b.Cover.Root.Value) == string(roots[0][:]) && fails.Add(-1) >= 0 {
			return nil, fmt.Errorf("not now")
		}
		return state.sync(b)
	}
	conn := reactortest.Serve(t, register(s))
	x := w.Start(w.name, w.projector(conn))
	w.put(roots, 1, 3)
	erase := func(root log.Root) {
		sheet := log.NewSheet(w.World.Domain.Name)
		partition := partitioning.Of(root, w.World.Domain.Partitions)
		sheet.AddErased(root, &angzarr.Erased{LastSequence: 3}, partition)
		sheet.AddSnapshotTombstone(root, partition)
		for n := range uint32(3) {
			sheet.AddPageTombstone(root, n+1, partition)
		}
		for _, r := range sheet.Records {
			w.Write(r)
		}
	}
	erase(roots[0])
	erase(roots[1])
	w.Done(w.Group(w.name))
	erase(roots[2])
	x.Crash()
	w.Start(w.name, w.projector(conn))
	w.Done(w.Group(w.name))
	latest := w.published()
	for _, root := range roots[:3] {
		if p, there := latest[root]; !there || p != nil {
			t.Errorf("root %s was erased, and its latest projection is %v", root, p)
		}
	}
	w.wantAll(roots[3:], 3)
	if letters := w.DeadLetters(); len(letters) > 0 {
		t.Errorf("dead letters: %v", letters)
	}
}

// Projections are the fold of the log after crashes, too.
func TestProjectionsAfterCrashes(t *testing.T) {
	w := newWorld(t, 2)
	roots := w.Roots(10)
	s, state := &server{}, &joined{}
	s.sync = state.sync
	conn := reactortest.Serve(t, register(s))
	for round := range 4 {
		x := w.Start(w.name, w.projector(conn))
		w.put(roots, 3*round+1, 3*round+3)
		if round < 3 {
			reactortest.Eventually(t, "it is at work", func() bool { state.mu.Lock(); defer state.mu.Unlock(); return state.runs > round*10 })
			x.Crash()
		}
	}
	w.Done(w.Group(w.name))
	w.wantAll(roots, 12)
}

// A projector that has only Handle publishes nothing, and is called once.
func TestHandleAlone(t *testing.T) {
	w := newWorld(t, 1)
	roots := w.Roots(5)
	w.put(roots, 1, 2)
	var mu sync.Mutex
	seen := make(map[string]int)
	s := &server{plain: func(b *angzarr.EventBook) error {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range b.Pages {
			seen[fmt.Sprintf("%x/%d", b.Cover.Root.Value, p.GetNum())]++
		}
		return nil
	}}
	x := w.Start(w.name, w.projector(reactortest.Serve(t, register(s))))
	w.Done(w.Group(w.name))
	x.Stop()
	w.Start(w.name, w.projector(reactortest.Serve(t, register(s))))
	w.put(roots[:1], 3, 3)
	w.Done(w.Group(w.name))
	if len(w.published()) != 0 {
		t.Error("it published something")
	}
	if len(seen) != 11 {
		t.Errorf("it saw %d events, want 11", len(seen))
	}
	for event, n := range seen {
		if n != 1 {
			t.Errorf("it saw %s %d times", event, n)
		}
	}
}

// Where something else serves, or nothing, events wait.
func TestAProjectorThatIsNotThereYet(t *testing.T) {
	w := newWorld(t, 1)
	roots := w.Roots(3)
	w.put(roots, 1, 2)
	place := reactortest.NewPlace(t)
	w.Start(w.name, w.projector(place.Conn()), func(c *reactor.Config) { c.Attempts = 1 })
	other := &server{} // which has neither method
	place.Begin(register(other))
	reactortest.Eventually(t, "it is asked again and again", func() bool { return other.asked.Load() > 3 })
	place.End()
	s, state := &server{}, &joined{}
	s.sync = state.sync
	place.Begin(register(s))
	w.Done(w.Group(w.name))
	w.wantAll(roots, 2)
	if n := len(w.DeadLetters()); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// Answers that can't be published make their event a dead letter, and harm
// nothing else.
func TestNonsense(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(*angzarr.EventBook) (*angzarr.Projection, error)
		want   string
	}{
		"another aggregate's": {func(*angzarr.EventBook) (*angzarr.Projection, error) {
			return &angzarr.Projection{Cover: &angzarr.Cover{Domain: "x"}, Projection: reactortest.Text("x")}, nil
		}, "another aggregate"},
		"too large": {func(*angzarr.EventBook) (*angzarr.Projection, error) {
			return &angzarr.Projection{Projection: reactortest.Text(strings.Repeat("x", 1_200_000))}, nil
		}, "max.message.bytes"},
		"too large for us": {func(*angzarr.EventBook) (*angzarr.Projection, error) {
			return &angzarr.Projection{Projection: reactortest.Text(strings.Repeat("x", 2_500_000))}, nil
		}, "larger than max"},
		"panics": {func(*angzarr.EventBook) (*angzarr.Projection, error) { panic("oh") }, "panic: oh"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			roots := w.Roots(3)
			w.put(roots, 1, 1)
			w.Put(roots[1], "bad")
			state := &joined{}
			s := &server{sync: func(b *angzarr.EventBook) (*angzarr.Projection, error) {
				for _, p := range b.Pages {
					if reactortest.TextOf(p.Event) == "bad" {
						return tc.answer(b)
					}
				}
				return state.sync(b)
			}}
			w.Start(w.name, w.projector(reactortest.Serve(t, register(s))))
			w.Done(w.Group(w.name))
			w.wantAll(roots, 1)
			letters := w.DeadLetters()
			if len(letters) != 1 || !strings.Contains(letters[0].Message, tc.want) {
				t.Errorf("dead letters: %v", letters)
			}
		})
	}
}
