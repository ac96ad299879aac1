// Package reactortest gives tests of projectors and sagas a domain with events,
// and workers that can be stopped, cut off and evicted.
package reactortest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Bound is how long a test waits for what must come.
const Bound = 20 * time.Second

// World is one domain on one broker.
type World struct {
	*logtest.Broker
	Domain log.Domain

	t     testing.TB
	facts log.BrokerFacts
	admin *log.Admin
	write *log.Writer
	last  map[log.Root]uint32 // pages that were put; owned by the test
}

// New makes a domain's topics.
func New(t testing.TB, partitions int32) *World {
	t.Helper()
	b := logtest.Start(t)
	w := &World{Broker: b, t: t, last: make(map[log.Root]uint32)}
	var err error
	if w.admin, err = b.Cluster.NewAdmin("angzarr/test-admin"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.admin.Close)
	if w.write, err = b.Cluster.NewWriter("angzarr/test-writer"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.write.Close)
	if w.facts, err = w.admin.Facts(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.Domain = w.Another("d", partitions)
	return w
}

// Another makes another domain's topics.
func (w *World) Another(name string, partitions int32) log.Domain {
	w.t.Helper()
	d, err := w.admin.EnsureDomain(w.t.Context(), w.Broker.Domain(name), log.TopicSettings{Partitions: partitions, ReplicationFactor: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// Admin asks the brokers.
func (w *World) Admin() *log.Admin { return w.admin }

// Root gives a new one, of that partition.
func (w *World) Root(partition int32) log.Root {
	for {
		if r := log.Root(uuid.New()); partitioning.Of(r, w.Domain.Partitions) == partition {
			return r
		}
	}
}

// Roots gives n, of the partitions in turn.
func (w *World) Roots(n int) (roots []log.Root) {
	for i := range n {
		roots = append(roots, w.Root(int32(i)%w.Domain.Partitions))
	}
	return roots
}

// Put writes the next page of a root: an event that says so.
func (w *World) Put(root log.Root, said string, changes ...func(*log.Page)) {
	w.t.Helper()
	event := Text(said)
	p := log.Page{
		Root: root, Sequence: w.last[root] + 1, CreatedAt: time.Now(), TypeURL: event.TypeUrl, Value: event.Value,
		Cause: log.Cause{CommandID: "command of " + said, CorrelationID: "cause of " + said, Traceparent: Trace},
	}
	for _, change := range changes {
		change(&p)
	}
	w.last[root] = p.Sequence
	w.Write(p.Encode(w.Domain.Name, partitioning.Of(root, w.Domain.Partitions)))
}

// Trace is what all pages of [World.Put] carry.
const Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Write writes a record.
func (w *World) Write(r log.Record) {
	w.t.Helper()
	if err := w.write.Write(w.t.Context(), &r); err != nil {
		w.t.Fatal(err)
	}
}

// Worker is a reactor's worker on a wire of its own.
type Worker struct {
	*reactor.Worker
	Wire   *logtest.Wire
	w      *World
	id     partitioning.Identity
	group  string
	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
}

// Option changes a worker's configuration.
type Option func(*reactor.Config)

// Worker makes one that does not run yet. Its group is a projector's.
func (w *World) Worker(name string, s reactor.Service, opts ...Option) *Worker {
	w.t.Helper()
	metrics, err := reactor.NewMetrics(noop.Meter{})
	if err != nil {
		w.t.Fatal(err)
	}
	x := &Worker{
		w: w, id: partitioning.NewIdentity(""), group: w.Group(name),
		Wire: logtest.NewWire(w.t, w.Cluster.Brokers[0]), ended: make(chan error, 1),
	}
	if err := w.admin.Enrol(w.t.Context(), w.Cluster, log.Reader{Group: x.group}, w.Domain.Name); err != nil {
		w.t.Fatal(err)
	}
	config := reactor.Config{
		Name: "projector." + name, Group: x.group, Domain: w.Domain, Cluster: w.Cluster,
		Member: partitioning.Config{
			Identity: x.id, TransactionVersion: w.facts.TransactionVersion, MissingOffsets: partitioning.RefuseMissing,
		},
		Service: s, Metrics: metrics, Logger: w.Cluster.Logger, Attempts: 3,
	}
	config.Cluster.Brokers = []string{x.Wire.Addr()}
	for _, o := range opts {
		o(&config)
	}
	x.Worker = reactor.NewWorker(config)
	return x
}

// Group is the group of the workers of that name.
func (w *World) Group(name string) string { return log.ProjectorGroup(name, w.Domain.Name) }

// Start makes a worker that runs until the test ends.
func (w *World) Start(name string, s reactor.Service, opts ...Option) *Worker {
	w.t.Helper()
	return w.Worker(name, s, opts...).Go()
}

// Go has the worker work until the test ends, or it is stopped.
func (x *Worker) Go() *Worker {
	ctx, cancel := context.WithCancel(context.Background())
	x.cancel = cancel
	go func() { x.ended <- x.Run(ctx) }()
	x.w.t.Cleanup(x.Stop)
	return x
}

// Ended gives the error with which the worker has ended by itself.
func (x *Worker) Ended() error {
	x.w.t.Helper()
	select {
	case err := <-x.ended:
		x.once.Do(x.cancel)
		return err
	case <-time.After(Bound):
		x.w.t.Fatal("the worker did not end")
		return nil
	}
}

// Stop ends a worker as SIGTERM does.
func (x *Worker) Stop() {
	x.once.Do(func() {
		x.cancel()
		if x.Wire.IsCut() {
			return // it has crashed: its retries may go on for a while
		}
		select {
		case err := <-x.ended:
			if err != nil {
				x.w.t.Errorf("the worker ended with %v", err)
			}
		case <-time.After(Bound):
			x.w.t.Errorf("the worker did not end within %v", Bound)
		}
	})
}

// Crash cuts a worker off, and has it evicted as its peers do.
func (x *Worker) Crash() {
	x.w.t.Helper()
	x.Wire.Cut()
	x.Evict()
	x.once.Do(x.cancel)
}

// Evict takes the worker out of its group behind its back.
func (x *Worker) Evict() {
	x.w.t.Helper()
	roster := partitioning.NewRoster(x.w.admin.Client())
	members, err := roster.Members(x.w.t.Context(), x.group)
	if err != nil {
		x.w.t.Error(err)
	}
	for _, m := range members {
		if m.Incarnation == x.id.Incarnation {
			if _, err := roster.Evict(x.w.t.Context(), x.group, []partitioning.Membership{m}, "a test"); err != nil {
				x.w.t.Error(err)
			}
		}
	}
}

// Done waits until a group has finished all that lies in the events topic.
func (w *World) Done(group string) {
	w.t.Helper()
	want := make(map[int32]int64)
	for _, r := range logtest.ReadCommitted(w.t, w.Cluster, log.EventsTopic(w.Domain.Name)) {
		want[r.Partition] = r.Offset + 1
	}
	Eventually(w.t, "all events are finished", func() bool {
		committed, err := w.admin.Committed(w.t.Context(), group, log.EventsTopic(w.Domain.Name))
		if err != nil {
			w.t.Fatal(err)
		}
		for partition, end := range want {
			if committed[partition] < end {
				return false
			}
		}
		return true
	})
}

// ForgetOffsets has the brokers forget what a group without members has committed,
// as they do by themselves when it is idle for long.
func (w *World) ForgetOffsets(group string) {
	w.t.Helper()
	if err := w.admin.DeleteGroup(w.t.Context(), group); err != nil {
		w.t.Fatal(err)
	}
}

// DeadLetters gives the domain's.
func (w *World) DeadLetters() (all []log.DeadLetter) {
	w.t.Helper()
	for _, k := range logtest.ReadCommitted(w.t, w.Cluster, log.DeadLettersTopic(w.Domain.Name)) {
		r := log.FromClient(k)
		letter, err := log.DecodeLetter(&r)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, letter)
	}
	return all
}

// Text is what an event or a command says.
func Text(s string) *anypb.Any {
	a, err := anypb.New(wrapperspb.String(s))
	if err != nil {
		panic(err)
	}
	return a
}

// TextOf is what it says.
func TextOf(a *anypb.Any) string {
	var s wrapperspb.StringValue
	if err := a.UnmarshalTo(&s); err != nil {
		return "?"
	}
	return s.Value
}

// Eventually waits for a condition that nothing announces.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(Bound)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("after %v: not so: %s", Bound, what)
		}
	}
}
