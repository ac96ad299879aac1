package saga_test

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
	"github.com/angzarr/angzarr-kafka/coordinators/saga"
	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	"github.com/angzarr/angzarr-kafka/examples/orderfulfillment"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// server is a saga of which each method may be there or not.
type server struct {
	angzarr.UnimplementedSagaServer
	plain func(*angzarr.EventBook) error
	sync  func(*angzarr.EventBook) ([]*angzarr.CommandBook, error)

	mu    sync.Mutex
	asked map[string]int
}

func (s *server) Handle(ctx context.Context, b *angzarr.EventBook) (*emptypb.Empty, error) {
	if s.plain == nil {
		return s.UnimplementedSagaServer.Handle(ctx, b)
	}
	return &emptypb.Empty{}, s.plain(b)
}

func (s *server) HandleSync(ctx context.Context, b *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	if s.sync == nil {
		return s.UnimplementedSagaServer.HandleSync(ctx, b)
	}
	s.mu.Lock()
	if s.asked == nil {
		s.asked = make(map[string]int)
	}
	s.asked[reactortest.TextOf(b.Pages[0].Event)]++
	s.mu.Unlock()
	commands, err := s.sync(b)
	return &angzarr.SynchronousProcessingResponse{Commands: commands}, err
}

func register(s *server) func(grpc.ServiceRegistrar) {
	return func(r grpc.ServiceRegistrar) { angzarr.RegisterSagaServer(r, s) }
}

// world is a domain with a saga, and one that its commands go to.
type world struct {
	*reactortest.World
	t      *testing.T
	target log.Domain
}

func newWorld(t *testing.T, partitions int32) *world {
	t.Helper()
	t.Parallel()
	w := &world{World: reactortest.New(t, partitions), t: t}
	w.target = w.Another("target", 3)
	return w
}

// Find is what a front door knows of domains.
func (w *world) Find(ctx context.Context, field, domain string) (int32, *status.Status) {
	all, err := w.Admin().Domains(ctx)
	if err != nil {
		return 0, status.New(codes.Unavailable, err.Error())
	}
	if all[domain] == 0 {
		return 0, status.Newf(codes.NotFound, "%s: there is no domain %q", field, domain)
	}
	return all[domain], nil
}

func (w *world) saga(s *server, types ...string) *saga.Saga {
	return saga.New(saga.Config{Name: "s", Conn: reactortest.Serve(w.t, register(s)), Domains: w, EventTypes: types, Answer: 4 << 20})
}

// to is a command for the target's aggregate of that root.
func (w *world) to(root []byte, said string) *angzarr.CommandBook {
	return &angzarr.CommandBook{
		Cover: &angzarr.Cover{Domain: w.target.Name, Root: &angzarr.UUID{Value: root}},
		Pages: []*angzarr.CommandPage{{Command: reactortest.Text(said)}},
	}
}

// each answers n commands to each event.
func (w *world) each(n int) func(*angzarr.EventBook) ([]*angzarr.CommandBook, error) {
	return func(b *angzarr.EventBook) (commands []*angzarr.CommandBook, _ error) {
		for i := range n {
			commands = append(commands, w.to(b.Cover.Root.Value, fmt.Sprintf("%s.%d", reactortest.TextOf(b.Pages[0].Event), i)))
		}
		return commands, nil
	}
}

// commands reads a domain's commands topic.
func (w *world) commands(d log.Domain) (records []log.Record, books []*angzarr.CommandBook) {
	w.t.Helper()
	for _, k := range logtest.ReadCommitted(w.t, w.Cluster, log.CommandsTopic(d.Name)) {
		r, book := log.FromClient(k), &angzarr.CommandBook{}
		if err := proto.Unmarshal(r.Value, book); err != nil {
			w.t.Fatal(err)
		}
		records, books = append(records, r), append(books, book)
	}
	return records, books
}

// wantOnce wants n commands of each of the events that every root has, each once.
func (w *world) wantOnce(roots []log.Root, events, n int) {
	w.t.Helper()
	count := make(map[string]int)
	_, books := w.commands(w.target)
	for _, b := range books {
		count[b.CommandId]++
	}
	for _, root := range roots {
		for e := range events {
			for i := range n {
				id := fmt.Sprintf("s/%s/%s/%d/%d", w.World.Domain.Name, root, e+1, i)
				if count[id] != 1 {
					w.t.Errorf("command %s is in its topic %d times", id, count[id])
				}
				delete(count, id)
			}
		}
	}
	for id := range count {
		w.t.Errorf("nobody asked for command %s", id)
	}
}

func TestCommandsOfASaga(t *testing.T) {
	w := newWorld(t, 2)
	roots := w.Roots(6)
	for _, root := range roots {
		w.Put(root, "a")
		w.Put(root, "b", func(p *log.Page) { p.Cause.Hops = 2 })
	}
	w.Start("s", w.saga(&server{sync: w.each(3)}))
	w.Done(w.Group("s"))
	w.wantOnce(roots, 2, 3)
	records, books := w.commands(w.target)
	for i, b := range books {
		r, origin := records[i], b.SagaOrigin
		root := log.Root(b.Cover.Root.Value)
		said := reactortest.TextOf(b.Pages[0].Command)
		hops := map[byte]uint32{'a': 1, 'b': 3}[said[0]]
		if r.Partition != partitioning.Of(root, w.target.Partitions) || string(r.Key) != string(root[:]) {
			t.Errorf("%s lies in partition %d, key %x", b.CommandId, r.Partition, r.Key)
		}
		if b.CorrelationId != "cause of "+said[:1] || string(r.Header(log.HeaderTraceparent)) != reactortest.Trace {
			t.Errorf("%s: correlation %s, trace %s", b.CommandId, b.CorrelationId, r.Header(log.HeaderTraceparent))
		}
		if origin.GetSaga() != "s" || origin.Cause.GetDomain() != w.World.Domain.Name || string(origin.Cause.Root.Value) != string(root[:]) ||
			origin.Hops != hops || string(r.Header(log.HeaderHops)) != fmt.Sprint(hops) || said != fmt.Sprintf("%c.%d", 'a'+origin.Sequence-1, origin.Index) {
			t.Errorf("%s says %s, of %v", b.CommandId, said, origin)
		}
	}
}

// Each command is in its topic once, whatever dies between the event and it.
func TestACrashAtEachStep(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		for name, fate := range map[string]logtest.Fate{"before": logtest.CrashesBefore, "after": logtest.CrashesAfter} {
			t.Run(name+" "+key.Name(), func(t *testing.T) {
				w := newWorld(t, 1)
				s := &server{sync: w.each(2)}
				roots := w.Roots(5)
				w.Put(roots[0], "x")
				x := w.Start("s", w.saga(s), func(c *reactor.Config) {
					if key == kmsg.AddOffsetsToTxn {
						c.Member.TransactionVersion = 0 // a later one has no such request
					}
				})
				w.Done(w.Group("s")) // it has a producer
				x.Wire.On(key, func(kmsg.Request) logtest.Fate { return fate })
				for _, root := range roots[1:] {
					w.Put(root, "x")
				}
				reactortest.Eventually(t, "the worker has crashed", x.Wire.IsCut)
				x.Crash()
				w.Start("s", w.saga(s))
				w.Done(w.Group("s"))
				w.wantOnce(roots, 1, 2)
			})
		}
	}
}

// What a saga can answer wrongly makes its event a dead letter that says so. The
// root's next event goes on, and nothing of the bad answer is written.
func TestBadAnswers(t *testing.T) {
	root := log.Root{15: 1}
	for name, tc := range map[string]struct {
		change func(w *world, c *angzarr.CommandBook)
		code   codes.Code
		want   string
	}{
		"an unknown domain": {func(_ *world, c *angzarr.CommandBook) { c.Cover.Domain = "nowhere" }, codes.NotFound, `commands[1].cover.domain: there is no domain "nowhere"`},
		"no cover":          {func(_ *world, c *angzarr.CommandBook) { c.Cover = nil }, codes.Internal, "commands[1].cover: is missing"},
		"no root":           {func(_ *world, c *angzarr.CommandBook) { c.Cover.Root = nil }, codes.Internal, "commands[1].cover.root: is missing"},
		"half a root":       {func(_ *world, c *angzarr.CommandBook) { c.Cover.Root.Value = root[:8] }, codes.Internal, "commands[1].cover.root: a root is"},
		"no pages":          {func(_ *world, c *angzarr.CommandBook) { c.Pages = nil }, codes.Internal, "commands[1].pages: a command book needs"},
		"no type":           {func(_ *world, c *angzarr.CommandBook) { c.Pages[0].Command.TypeUrl = "" }, codes.Internal, "commands[1].pages[0].command: is missing"},
		"a large one": {func(_ *world, c *angzarr.CommandBook) {
			c.Pages[0].Command = reactortest.Text(strings.Repeat("x", 1_000_000))
		},
			codes.ResourceExhausted, "commands[1] has 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			s := &server{sync: func(b *angzarr.EventBook) ([]*angzarr.CommandBook, error) {
				commands, _ := w.each(2)(b)
				if reactortest.TextOf(b.Pages[0].Event) == "bad" {
					tc.change(w, commands[1])
				}
				return commands, nil
			}}
			root := w.Root(0)
			w.Put(root, "bad")
			w.Put(root, "good")
			w.Start("s", w.saga(s))
			w.Done(w.Group("s"))
			letters := w.DeadLetters()
			if len(letters) != 1 || letters[0].Cause != tc.code.String() ||
				!strings.Contains(letters[0].Message, tc.want) {
				t.Fatalf("dead letters: %v; want one that says %s: %s", letters, tc.code, tc.want)
			}
			if _, books := w.commands(w.target); len(books) != 2 || !strings.HasPrefix(reactortest.TextOf(books[0].Pages[0].Command), "good") {
				t.Errorf("commands: %v", books)
			}
			if n := s.asked["bad"]; n != 3 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

// What breaks in a saga makes its event a dead letter that says so; the root's next
// event goes on.
func TestASagaThatBreaks(t *testing.T) {
	for name, tc := range map[string]struct {
		breaks func() ([]*angzarr.CommandBook, error)
		code   codes.Code
		want   string
	}{
		"panics":        {func() ([]*angzarr.CommandBook, error) { panic("oh") }, codes.Internal, "panic: oh"},
		"a plain error": {func() ([]*angzarr.CommandBook, error) { return nil, fmt.Errorf("no") }, codes.Unknown, "no"},
		"an answer that is too large": {func() ([]*angzarr.CommandBook, error) {
			return []*angzarr.CommandBook{{CommandId: strings.Repeat("x", 5<<20)}}, nil
		}, codes.ResourceExhausted, "larger than max"},
		"a nil command": {func() ([]*angzarr.CommandBook, error) { return []*angzarr.CommandBook{{}}, nil }, codes.Internal, "commands[0].cover: is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			s := &server{sync: func(b *angzarr.EventBook) ([]*angzarr.CommandBook, error) {
				if reactortest.TextOf(b.Pages[0].Event) == "bad" {
					return tc.breaks()
				}
				return w.each(1)(b)
			}}
			root := w.Root(0)
			w.Put(root, "bad")
			w.Put(root, "good")
			w.Start("s", w.saga(s))
			w.Done(w.Group("s"))
			letters := w.DeadLetters()
			if len(letters) != 1 || letters[0].Cause != tc.code.String() || !strings.Contains(letters[0].Message, tc.want) || letters[0].Attempts != 3 {
				t.Errorf("dead letters: %v; want one that says %s: %s", letters, tc.code, tc.want)
			}
			if _, books := w.commands(w.target); len(books) != 1 {
				t.Errorf("commands: %v", books)
			}
		})
	}
}

// While nothing serves there, or something else does, events wait, and count as
// tried by nobody.
func TestASagaThatIsNotThereYet(t *testing.T) {
	w := newWorld(t, 1)
	roots := w.Roots(3)
	for _, root := range roots {
		w.Put(root, "x")
	}
	place := reactortest.NewPlace(t)
	s := saga.New(saga.Config{Name: "s", Conn: place.Conn(), Domains: w, Answer: 4 << 20})
	w.Start("s", s, func(c *reactor.Config) { c.Attempts = 1 })
	var asked atomic.Int32
	place.Begin(register(&server{sync: func(*angzarr.EventBook) ([]*angzarr.CommandBook, error) {
		asked.Add(1)
		return nil, status.Error(codes.Unimplemented, "something else")
	}}))
	reactortest.Eventually(t, "it is asked again and again", func() bool { return asked.Load() > 3 })
	place.End()
	place.Begin(register(&server{sync: w.each(2)}))
	w.Done(w.Group("s"))
	w.wantOnce(roots, 1, 2)
	if letters := w.DeadLetters(); len(letters) != 0 {
		t.Errorf("dead letters: %v", letters)
	}
}

// Events of a type that nobody knows reach a saga as they are; the example's, and a
// projector's, pass over them.
func TestEventsOfUnknownTypes(t *testing.T) {
	w := newWorld(t, 1)
	roots := w.Roots(2)
	for _, root := range roots {
		w.Put(root, "x", func(p *log.Page) { p.TypeURL, p.Value = "example.com/no.Such", []byte{0xff, 0x01} })
		w.Put(root, "y")
	}
	var mu sync.Mutex
	unknown := 0
	s := &server{sync: func(b *angzarr.EventBook) ([]*angzarr.CommandBook, error) {
		mu.Lock()
		defer mu.Unlock()
		if e := b.Pages[0].Event; e.TypeUrl == "example.com/no.Such" && string(e.Value) == "\xff\x01" {
			unknown++
		}
		return w.each(1)(b)
	}}
	w.Start("s", w.saga(s))
	w.Start("example", saga.New(saga.Config{Name: "example", Domains: w, Answer: 4 << 20, Conn: reactortest.Serve(t, func(r grpc.ServiceRegistrar) {
		angzarr.RegisterSagaServer(r, orderfulfillment.Saga{})
	})}))
	w.Start("summary", projector.New(projector.Config{Name: "summary", Answer: 4 << 20, Conn: reactortest.Serve(t, func(r grpc.ServiceRegistrar) {
		angzarr.RegisterProjectorServer(r, inventorysummary.Projector{})
	})}))
	for _, name := range []string{"s", "example", "summary"} {
		w.Done(w.Group(name))
	}
	w.wantOnce(roots, 2, 1)
	if unknown != len(roots) {
		t.Errorf("%d of %d came as they were", unknown, len(roots))
	}
	if letters := w.DeadLetters(); len(letters) != 0 {
		t.Errorf("dead letters: %v", letters)
	}
}

// A thousand commands of one event are one transaction; too many are refused.
func TestManyCommands(t *testing.T) {
	w := newWorld(t, 1)
	root := w.Root(0)
	w.Put(root, "1000")
	w.Put(root, "20000")
	s := &server{sync: func(b *angzarr.EventBook) ([]*angzarr.CommandBook, error) {
		var n int
		fmt.Sscan(reactortest.TextOf(b.Pages[0].Event), &n)
		return w.each(n)(b)
	}}
	w.Start("s", w.saga(s))
	w.Done(w.Group("s"))
	w.wantOnce([]log.Root{root}, 1, 1000)
	if letters := w.DeadLetters(); len(letters) != 1 || !strings.Contains(letters[0].Message, "20000 commands") {
		t.Errorf("dead letters: %v", letters)
	}
}

// Commands to the saga's own source are commands like others.
func TestCommandsToTheSource(t *testing.T) {
	w := newWorld(t, 2)
	root := w.Root(1)
	w.Put(root, "x")
	w.Start("s", w.saga(&server{sync: func(b *angzarr.EventBook) ([]*angzarr.CommandBook, error) {
		c := w.to(b.Cover.Root.Value, "back")
		c.Cover.Domain = b.Cover.Domain
		return []*angzarr.CommandBook{c}, nil
	}}))
	w.Done(w.Group("s"))
	if records, _ := w.commands(w.World.Domain); len(records) != 1 || records[0].Partition != 1 {
		t.Errorf("commands: %v", records)
	}
}

// An event that has been through as many sagas as are allowed leads to no more.
func TestALoopIsCut(t *testing.T) {
	w := newWorld(t, 1)
	hops := func(n uint32) func(*log.Page) { return func(p *log.Page) { p.Cause.Hops = n } }
	roots := w.Roots(2)
	w.Put(roots[0], "last", hops(saga.MostHops-1))
	w.Put(roots[1], "over", hops(saga.MostHops))
	s := &server{sync: w.each(1)}
	w.Start("s", w.saga(s))
	w.Done(w.Group("s"))
	w.wantOnce(roots[:1], 1, 1)
	letters := w.DeadLetters()
	if len(letters) != 1 || letters[0].Cause != "FailedPrecondition" || s.asked["over"] != 1 ||
		!strings.Contains(letters[0].Message, fmt.Sprintf("%d sagas", saga.MostHops)) || hopsOf(letters[0]) != saga.MostHops {
		t.Errorf("dead letters: %v, after %d calls", letters, s.asked["over"])
	}
}

// hopsOf reads the header of the event that a dead letter keeps.
func hopsOf(l log.DeadLetter) uint32 {
	p, err := log.DecodePage(&log.Record{Key: l.Key, Value: l.Value, Headers: l.Headers})
	if err != nil {
		return 0
	}
	return p.Cause.Hops
}

func TestEventTypes(t *testing.T) {
	w := newWorld(t, 1)
	root := w.Root(0)
	w.Put(root, "a")
	w.Put(root, "b", func(p *log.Page) { p.TypeURL = "type.googleapis.com/other.Type" })
	w.Put(root, "c")
	s := &server{sync: w.each(1)}
	w.Start("s", w.saga(s, "google.protobuf.StringValue", "no.Such"))
	w.Done(w.Group("s"))
	if _, books := w.commands(w.target); len(books) != 2 {
		t.Errorf("%d commands, want 2", len(books))
	}
}

// A saga that has only Handle emits its commands itself, and is called once.
func TestHandleAlone(t *testing.T) {
	w := newWorld(t, 1)
	root := w.Root(0)
	var mu sync.Mutex
	seen := make(map[string]int)
	s := &server{plain: func(b *angzarr.EventBook) error {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range b.Pages {
			seen[reactortest.TextOf(p.Event)]++
		}
		return nil
	}}
	w.Put(root, "a")
	x := w.Start("s", w.saga(s))
	w.Done(w.Group("s"))
	x.Stop()
	w.Put(root, "b")
	w.Start("s", w.saga(s))
	w.Done(w.Group("s"))
	if len(seen) != 2 || seen["a"] != 1 || seen["b"] != 1 {
		t.Errorf("it saw %v", seen)
	}
}
