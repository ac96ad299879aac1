package sequel_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/coordinators/projector"
	"github.com/angzarr/angzarr-kafka/coordinators/query"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/coordinators/saga"
	"github.com/angzarr/angzarr-kafka/coordinators/sequel"
	"github.com/angzarr/angzarr-kafka/frontdoor"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// world is two domains, a projector of both and a saga that turns orders into
// reservations of stock, each in a process of its own, as far as the log knows.
type world struct {
	*testing.T
	*logtest.Broker
	admin   *log.Admin
	facts   log.BrokerFacts
	domains *frontdoor.Domains

	orders, stock log.Domain
	summary       string   // the projector
	fulfilment    string   // the saga
	types         []string // the events that it gets
	projected     *calls
	reacted       *calls
	workers       map[string]*business.Worker
}

// calls notes those of a service, and may hold them or have them fail.
type calls struct {
	mu   sync.Mutex
	of   map[string]int // by domain and what the event says
	in   []string       // the same, in order
	hold map[string]chan struct{}
	fail map[string]bool
}

func (c *calls) take(b *angzarr.EventBook) error {
	for _, p := range b.Pages {
		said := reactortest.TextOf(p.Event)
		c.mu.Lock()
		c.of[b.Cover.Domain+" "+said]++
		c.in = append(c.in, said)
		hold, fail := c.hold[said], c.fail[said]
		c.mu.Unlock()
		if hold != nil {
			<-hold
		}
		if fail {
			return status.Errorf(codes.Internal, "I can't stand %s", said)
		}
	}
	return nil
}

// holds has calls of an event wait until they are released.
func (c *calls) holds(t *testing.T, said string) (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gate := make(chan struct{})
	c.hold[said] = gate
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	return release
}

func (c *calls) seen(said string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.in {
		if s == said {
			return true
		}
	}
	return false
}

// once wants each event to have been called once.
func (c *calls) once(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, n := range c.of {
		if n != 1 {
			t.Errorf("%s was called %d times", what, n)
		}
	}
}

type logic struct {
	angzarr.UnimplementedBusinessLogicServer
	stock string
}

// Handle echoes. Stock of "nothing" is short, and an order is told so.
func (l logic) Handle(_ context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	page := c.Command.Pages[0]
	said, told := reactortest.TextOf(page.Command), &angzarr.RejectionNotification{}
	switch {
	case page.Command.UnmarshalTo(told) == nil:
		return say("cancelled: " + told.Message), nil
	case c.Command.Cover.Domain == l.stock && strings.HasSuffix(said, "nothing"):
		return nil, status.Error(codes.FailedPrecondition, "short of it")
	case said == "quietly":
		return &angzarr.EventBook{}, nil
	}
	answer := say(said)
	answer.Pages[0].Synchronous = said == "order by its own"
	return answer, nil
}

func say(text string) *angzarr.EventBook {
	return &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: reactortest.Text(text)}}}
}

type projecting struct {
	angzarr.UnimplementedProjectorServer
	*calls
}

func (p projecting) HandleSync(_ context.Context, b *angzarr.EventBook) (*angzarr.Projection, error) {
	if err := p.take(b); err != nil {
		return nil, err
	}
	return &angzarr.Projection{Projection: b.Pages[len(b.Pages)-1].Event}, nil
}

type reserving struct {
	angzarr.UnimplementedSagaServer
	*calls
	orders, stock string
}

// HandleSync reserves what is ordered. "order back and forth" goes on for ever.
func (s reserving) HandleSync(_ context.Context, b *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	if err := s.take(b); err != nil {
		return nil, err
	}
	said := reactortest.TextOf(b.Pages[0].Event)
	what, ordered := strings.CutPrefix(said, "order ")
	answer := &angzarr.SynchronousProcessingResponse{}
	to, text := s.stock, "reserve "+what
	switch {
	case said == "reserve back and forth":
		to, text = s.orders, "order "+strings.TrimPrefix(said, "reserve ")
	case !ordered:
		return answer, nil
	}
	answer.Commands = []*angzarr.CommandBook{{
		Cover: &angzarr.Cover{Domain: to, Root: b.Cover.Root},
		Pages: []*angzarr.CommandPage{{Command: reactortest.Text(text)}},
	}}
	return answer, nil
}

// newWorld starts the workers of both domains; projector and saga are started by
// [world.react].
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	b := logtest.Start(t)
	fresh := func() *calls {
		return &calls{of: make(map[string]int), hold: make(map[string]chan struct{}), fail: make(map[string]bool)}
	}
	w := &world{
		T: t, Broker: b, summary: b.Domain("summary"), fulfilment: b.Domain("fulfilment"),
		projected: fresh(), reacted: fresh(), workers: make(map[string]*business.Worker),
	}
	var err error
	if w.admin, err = b.Cluster.NewAdmin("angzarr/test-admin"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.admin.Close)
	if w.facts, err = w.admin.Facts(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.domains = frontdoor.NewDomains(w.admin.Domains)
	settings := log.TopicSettings{Partitions: 2, ReplicationFactor: 1}
	if _, err = w.admin.EnsureReplies(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]*log.Domain{"orders": &w.orders, "stock": &w.stock} {
		if *d, err = w.admin.EnsureDomain(t.Context(), b.Domain(name), settings); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) writer(cluster log.Cluster) *log.Writer {
	w.Helper()
	writer, err := cluster.NewWriter("angzarr/test-writer")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(writer.Close)
	return writer
}

// run runs until the test ends.
func (w *world) run(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				w.Error(err)
			}
		case <-time.After(reactortest.Bound):
			w.Error("it did not end")
		}
	})
	w.Cleanup(stop)
	return stop
}

// member is one on a wire of its own, which may be cut.
type member struct {
	*logtest.Wire
	w     *world
	id    partitioning.Identity
	group string
}

func (w *world) member(group string) (*member, log.Cluster, partitioning.Config) {
	m := &member{Wire: logtest.NewWire(w, w.Cluster.Brokers[0]), w: w, id: partitioning.NewIdentity(""), group: group}
	cluster := w.Cluster
	cluster.Brokers = []string{m.Addr()}
	return m, cluster, partitioning.Config{
		Identity: m.id, TransactionVersion: w.facts.TransactionVersion, MissingOffsets: partitioning.RefuseMissing,
	}
}

// evict takes it out of its group, as peers do with one that has died.
func (m *member) evict() {
	m.w.Helper()
	roster := partitioning.NewRoster(m.w.admin.Client())
	members, err := roster.Members(m.w.Context(), m.group)
	if err != nil {
		m.w.Fatal(err)
	}
	for _, other := range members {
		if other.Incarnation == m.id.Incarnation {
			if _, err := roster.Evict(m.w.Context(), m.group, []partitioning.Membership{other}, "a test"); err != nil {
				m.w.Fatal(err)
			}
		}
	}
}

// decide runs a worker of a domain. One that is to crash is not waited for.
func (w *world) decide(d log.Domain, crashes bool) *member {
	w.Helper()
	metrics, err := business.NewMetrics(noop.Meter{})
	if err != nil {
		w.Fatal(err)
	}
	m, cluster, config := w.member(log.Group(d.Name))
	config.TopicID = d.CommandsID
	served := reactortest.Serve(w, func(r grpc.ServiceRegistrar) { angzarr.RegisterBusinessLogicServer(r, logic{stock: w.stock.Name}) })
	worker := business.NewWorker(business.Config{
		Domain: d, Cluster: cluster, Member: config, Logic: served, Books: snapshots.NewBooks(1 << 20),
		Replies: w.writer(cluster), Domains: w.domains, Metrics: metrics, Logger: w.Cluster.Logger,
		OpenBook: 1 << 20, Answer: 4 << 20, Waiting: 1000,
	})
	w.start(worker.Run, crashes)
	w.workers[d.Name] = worker
	return m
}

func (w *world) start(run func(context.Context) error, crashes bool) {
	if !crashes {
		w.run(run)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.Cleanup(cancel)
	go func() { _ = run(ctx) }() // it ends with its wire cut, in its own time
}

func (w *world) reader(group, title string, d log.Domain, s reactor.Service, crashes bool) *member {
	w.Helper()
	metrics, err := reactor.NewMetrics(noop.Meter{})
	if err != nil {
		w.Fatal(err)
	}
	if err := w.admin.Enrol(w.Context(), w.Cluster, log.Reader{Group: group, Synchronous: true}, d.Name); err != nil {
		w.Fatal(err)
	}
	m, cluster, config := w.member(group)
	worker := reactor.NewWorker(reactor.Config{
		Name: title, Group: group, Domain: d, Cluster: cluster, Member: config, Service: s, Metrics: metrics,
		Logger: w.Cluster.Logger, Synchronous: true, Replies: w.writer(cluster), Attempts: 2,
	})
	w.start(worker.Run, crashes)
	return m
}

// project runs a worker of the projector.
func (w *world) project(d log.Domain, crashes bool) *member {
	w.Helper()
	projections, err := w.admin.EnsureProjections(w.Context(), w.summary, log.TopicSettings{Partitions: 2, ReplicationFactor: 1})
	if err != nil {
		w.Fatal(err)
	}
	served := reactortest.Serve(w, func(r grpc.ServiceRegistrar) {
		angzarr.RegisterProjectorServer(r, projecting{calls: w.projected})
	})
	return w.reader(log.ProjectorGroup(w.summary, d.Name), "projector."+w.summary, d, projector.New(projector.Config{
		Name: w.summary, Conn: served, Projections: projections, Answer: 4 << 20,
	}), crashes)
}

// saga runs a worker of the saga.
func (w *world) saga(d log.Domain, crashes bool) *member {
	w.Helper()
	served := reactortest.Serve(w, func(r grpc.ServiceRegistrar) {
		angzarr.RegisterSagaServer(r, reserving{calls: w.reacted, orders: w.orders.Name, stock: w.stock.Name})
	})
	return w.reader(log.SagaGroup(w.fulfilment, d.Name), "saga."+w.fulfilment, d, saga.New(saga.Config{
		Name: w.fulfilment, Conn: served, Domains: w.domains, EventTypes: w.types, Answer: 4 << 20, Synchronous: true,
	}), crashes)
}

// all runs one of each.
func (w *world) all() {
	w.Helper()
	for _, d := range []log.Domain{w.orders, w.stock} {
		w.decide(d, false)
		w.project(d, false)
	}
	w.saga(w.orders, false)
}

// door is a process that owns nothing but what it is given.
type door struct {
	*frontdoor.Door
	Projectors sequel.Projectors
	Sagas      sequel.Sagas
	gatherer   *sequel.Gatherer
}

// door makes one. Without workers of its own, commands go through the topic.
func (w *world) door(workers map[string]*business.Worker, sagas int) *door {
	w.Helper()
	ends, err := w.admin.HighWatermarks(w.Context(), log.RepliesTopic)
	if err != nil {
		w.Fatal(err)
	}
	metrics, err := query.NewMetrics(noop.Meter{})
	if err != nil {
		w.Fatal(err)
	}
	topic := frontdoor.NewTopic(w.Cluster, w.writer(w.Cluster), ends, w.Cluster.Logger)
	readers := sequel.NewReaders(w.Cluster, w.admin, w.Cluster.Logger)
	if err := readers.Read(w.Context()); err != nil {
		w.Fatal(err)
	}
	g := sequel.New(sequel.Config{
		Cluster: w.Cluster, Admin: w.admin, Readers: readers, Domains: w.domains, Logger: w.Cluster.Logger,
		Pages:   query.New(query.Config{Cluster: w.Cluster, Admin: w.admin, Domains: w.domains, Metrics: metrics, Logger: w.Cluster.Logger}),
		Replies: topic.Partition(), Sagas: sagas, Answer: 4 << 20, Waiting: 100,
	})
	topic.Others(g.Take)
	w.run(topic.Run)
	w.run(readers.Run)
	return &door{
		Door: frontdoor.New(frontdoor.Config{
			Workers: workers, Domains: w.domains, Topic: topic, Sequels: g, MaxCommand: 1_000_000, Waiting: 100, Logger: w.Cluster.Logger,
		}),
		Projectors: sequel.Projectors{Gatherer: g}, Sagas: sequel.Sagas{Gatherer: g}, gatherer: g,
	}
}

// within bounds a call by what a test waits for.
func (w *world) within() context.Context {
	ctx, cancel := context.WithTimeout(w.Context(), reactortest.Bound)
	w.Cleanup(cancel)
	return ctx
}

func (w *world) command(root uuid.UUID, id, says string, synchronous bool) *angzarr.CommandBook {
	return &angzarr.CommandBook{
		Cover:     &angzarr.Cover{Domain: w.orders.Name, Root: &angzarr.UUID{Value: root[:]}},
		Pages:     []*angzarr.CommandPage{{Command: reactortest.Text(says), Synchronous: synchronous}},
		CommandId: id,
	}
}

// shown is an answer in words.
func (w *world) shown(a *angzarr.SynchronousProcessingResponse) string {
	names := strings.NewReplacer(w.orders.Name, "orders", w.stock.Name, "stock", w.summary, "summary", w.fulfilment, "fulfilment")
	var all []string
	add := func(format string, args ...any) { all = append(all, names.Replace(fmt.Sprintf(format, args...))) }
	for _, b := range a.GetBooks() {
		for _, p := range b.Pages {
			add("%s %d: %s", b.Cover.Domain, p.GetNum(), reactortest.TextOf(p.Event))
		}
	}
	for _, p := range a.GetProjections() {
		add("%s of %s %d: %s", p.Projector, p.Cover.Domain, p.Sequence, reactortest.TextOf(p.Projection))
	}
	for _, c := range a.GetCommands() {
		add("command to %s: %s", c.Cover.Domain, reactortest.TextOf(c.Pages[0].Command))
	}
	for _, o := range a.GetOutcomes() {
		if o.Code != 0 {
			add("%s to %s: %s", codes.Code(o.Code), o.Cover.Domain, o.Message)
		}
	}
	for _, u := range a.GetUndone() {
		add("%s %s%s %d-%d", strings.TrimPrefix(u.Reason.String(), "REASON_"), map[bool]string{true: "command to ", false: u.Service + " of "}[u.CommandId != ""], u.Cover.Domain, u.FirstPage, u.LastPage)
	}
	return strings.Join(all, "; ")
}

func naming(ctx context.Context, header, name string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs(header, name))
}
