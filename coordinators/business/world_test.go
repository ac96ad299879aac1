package business_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { logtest.Overlap(m) }

// bound is how long a test waits for what must come.
const bound = time.Minute

// world is one domain on one broker, and the workers that serve it.
type world struct {
	*logtest.Broker
	t      *testing.T
	domain log.Domain
	facts  log.BrokerFacts
	client *kgo.Client

	mu      sync.Mutex
	workers []*worker
}

func newWorld(t *testing.T, partitions int32, opts ...kfake.Opt) *world {
	t.Helper()
	t.Parallel()
	b := logtest.Start(t, opts...)
	w := &world{Broker: b, t: t, client: b.Client(t,
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(1<<20))}
	var err error
	if w.facts, err = log.CheckBroker(t.Context(), w.client); err != nil {
		t.Fatal(err)
	}
	w.domain, err = log.EnsureDomain(t.Context(), w.client, b.Domain("d"), log.TopicSettings{Partitions: partitions, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Find is what a front door knows of domains.
func (w *world) Find(ctx context.Context, field, domain string) (int32, *status.Status) {
	all, err := log.Domains(ctx, w.client)
	if err != nil {
		return 0, status.New(codes.Unavailable, err.Error())
	}
	if all[domain] == 0 {
		return 0, status.Newf(codes.NotFound, "%s: there is no domain %q", field, domain)
	}
	return all[domain], nil
}

// worker is a business worker on a wire of its own.
type worker struct {
	*business.Worker
	w      *world
	id     partitioning.Identity
	wire   *logtest.Wire
	books  *snapshots.Books
	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
}

type option func(*worker, *business.Config)

func withBooks(limit int) option {
	return func(x *worker, _ *business.Config) { x.books = snapshots.NewBooks(limit) }
}

func withLimits(openBook, answer, waiting int) option {
	return func(_ *worker, c *business.Config) { c.OpenBook, c.Answer, c.Waiting = openBook, answer, waiting }
}

// worker makes one that does not run yet.
func (w *world) worker(logic grpc.ClientConnInterface, opts ...option) *worker {
	w.t.Helper()
	metrics, err := business.NewMetrics(noop.Meter{})
	if err != nil {
		w.t.Fatal(err)
	}
	replies, err := w.Cluster.NewWriter("angzarr/test-replies")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(replies.Close)
	x := &worker{
		w: w, id: partitioning.NewIdentity(""), wire: logtest.NewWire(w.t, w.Cluster.Brokers[0]),
		books: snapshots.NewBooks(1 << 20), ended: make(chan error, 1),
	}
	config := business.Config{
		Domain: w.domain, Cluster: w.Cluster,
		Member: partitioning.Config{
			Identity: x.id, TopicID: w.domain.CommandsID, TransactionVersion: w.facts.TransactionVersion,
			MissingOffsets: partitioning.RefuseMissing,
		},
		Logic: logic, Replies: replies, Domains: w, Metrics: metrics, Logger: w.Cluster.Logger,
		OpenBook: 3 << 20, Answer: 4 << 20, Waiting: 10_000,
	}
	config.Cluster.Brokers = []string{x.wire.Addr()}
	for _, o := range opts {
		o(x, &config)
	}
	config.Books = x.books
	x.Worker = business.NewWorker(config)
	return x
}

// run has a worker work until the test ends, or it is stopped.
func (x *worker) run() *worker {
	ctx, cancel := context.WithCancel(context.Background())
	x.cancel = cancel
	go func() { x.ended <- x.Run(ctx) }()
	x.w.mu.Lock()
	x.w.workers = append(x.w.workers, x)
	x.w.mu.Unlock()
	x.w.t.Cleanup(x.stop)
	return x
}

func (w *world) start(logic grpc.ClientConnInterface, opts ...option) *worker {
	w.t.Helper()
	return w.worker(logic, opts...).run()
}

// owner starts a worker that owns all partitions when it is given back.
func (w *world) owner(logic grpc.ClientConnInterface, opts ...option) *worker {
	w.t.Helper()
	x := w.start(logic, opts...)
	x.ownsAll()
	return x
}

func (x *worker) ownsAll() {
	x.w.t.Helper()
	eventually(x.w.t, "the worker has taken all partitions over", func() bool { return x.Ready() == int(x.w.domain.Partitions) })
}

// stop ends a worker, which must have nothing left then.
func (x *worker) stop() {
	x.once.Do(func() {
		x.w.forget(x)
		x.cancel()
		if x.wire.IsCut() {
			return // it has crashed: its retries may go on for a while
		}
		select {
		case err := <-x.ended:
			if err != nil {
				x.w.t.Errorf("the worker ended with %v", err)
			}
			if left := x.Left(); left != "" {
				x.w.t.Errorf("the worker ended, and left %s", left)
			}
			if u := x.books.Usage(); u.Books+u.Bytes+u.Left != 0 {
				x.w.t.Errorf("the worker ended, and left books: %+v", u)
			}
		case <-time.After(bound):
			x.w.t.Errorf("the worker did not end within %v; left %s", bound, x.Left())
		}
	})
}

// crash cuts a worker off, and has it evicted as its peers do.
func (x *worker) crash() {
	x.w.t.Helper()
	x.wire.Cut()
	x.evict()
	x.w.forget(x)
	x.cancel()
}

// evict takes the worker out of its group behind its back.
func (x *worker) evict() {
	x.w.t.Helper()
	group := log.Group(x.w.domain.Name)
	groups, err := kadm.NewClient(x.w.client).DescribeGroups(x.w.t.Context(), group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		x.w.t.Error(err)
		return
	}
	for _, m := range groups[group].Members {
		if m.ClientID != "angzarr//"+x.id.Incarnation {
			continue
		}
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.MemberID = group, m.MemberID
		gone := kmsg.NewLeaveGroupRequestMember()
		gone.MemberID = m.MemberID
		req.Members = append(req.Members, gone)
		if _, err := req.RequestWith(x.w.t.Context(), x.w.client); err != nil {
			x.w.t.Error(err)
		}
	}
}

func (w *world) forget(x *worker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.workers = slices.DeleteFunc(w.workers, func(other *worker) bool { return other == x })
}

// caughtUp says whether all that lies in the commands topic is finished.
func (w *world) caughtUp() bool {
	w.t.Helper()
	want := make(map[int32]int64)
	for _, r := range logtest.ReadCommitted(w.t, w.Cluster, log.CommandsTopic(w.domain.Name)) {
		want[r.Partition] = r.Offset + 1
	}
	offsets, err := kadm.NewClient(w.client).FetchOffsets(w.t.Context(), log.Group(w.domain.Name))
	if err != nil {
		w.t.Fatal(err)
	}
	for p, end := range want {
		if o, _ := offsets.Lookup(log.CommandsTopic(w.domain.Name), p); o.At < end {
			return false
		}
	}
	return true
}

// quiet waits until all is finished, and no worker has anything to do.
func (w *world) quiet() {
	w.t.Helper()
	eventually(w.t, "all commands of the topic are finished", w.caughtUp)
	var left string
	defer func() {
		if w.t.Failed() && left != "" {
			w.t.Log("left: " + left)
		}
	}()
	eventually(w.t, "nothing is left to do", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, x := range w.workers {
			if left = x.Left(); left != "" {
				return false
			}
		}
		return true
	})
}

// handle has the command decided by whoever owns its root, as a front door does:
// it asks on where nothing has happened, or nobody knows.
func (w *world) handle(ctx context.Context, c *angzarr.CommandBook) (*angzarr.EventBook, error) {
	return w.route(ctx, c.Cover.Root.Value, func(x *worker) (*angzarr.EventBook, error) { return x.Handle(ctx, c, "") })
}

func (w *world) record(ctx context.Context, b *angzarr.EventBook) (*angzarr.EventBook, error) {
	return w.route(ctx, b.Cover.Root.Value, func(x *worker) (*angzarr.EventBook, error) { return x.Record(ctx, b, "") })
}

func (w *world) route(ctx context.Context, root []byte, ask func(*worker) (*angzarr.EventBook, error)) (*angzarr.EventBook, error) {
	partition := partitioning.Of(log.Root(root), w.domain.Partitions)
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		w.mu.Lock()
		workers := slices.Clone(w.workers)
		w.mu.Unlock()
		for _, x := range workers {
			if !x.Owns(partition) {
				continue
			}
			book, err := ask(x)
			if !errors.Is(err, business.ErrNotOwner) && (status.Code(err) != codes.Unavailable || ctx.Err() != nil) {
				return book, err
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// must is for commands that have to succeed.
func (w *world) must(c *angzarr.CommandBook) *angzarr.EventBook {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), bound)
	defer cancel()
	book, err := w.handle(ctx, c)
	if err != nil {
		w.t.Fatalf("command %s: %v", c.CommandId, err)
	}
	return book
}

// refused is for commands that have to be refused by x.
func (x *worker) refused(c *angzarr.CommandBook) *status.Status {
	x.w.t.Helper()
	ctx, cancel := context.WithTimeout(x.w.t.Context(), bound)
	defer cancel()
	book, err := x.Handle(ctx, c, "")
	if err == nil {
		x.w.t.Fatalf("command %s led to %v", c.CommandId, book)
	}
	return status.Convert(err)
}

// eventually waits for a condition that nothing announces.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("after %v: not so: %s", bound, what)
		}
	}
}

// put writes records into the commands topic.
func (w *world) put(records ...*kgo.Record) {
	w.t.Helper()
	for _, r := range records {
		r.Topic = log.CommandsTopic(w.domain.Name)
	}
	if err := w.client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// source is the id of a record that came without one.
func source(r *kgo.Record) string {
	return r.Topic + "/" + strconv.Itoa(int(r.Partition)) + "/" + strconv.FormatInt(r.Offset, 10)
}
