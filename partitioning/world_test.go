package partitioning_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

func TestMain(m *testing.M) { logtest.Overlap(m) }

// bound is how long a test waits for what must come.
const bound = time.Minute

// world is one domain on one broker.
type world struct {
	*logtest.Broker
	t                       *testing.T
	domain                  log.Domain
	facts                   log.BrokerFacts
	group, commands, events string
	client                  *kgo.Client
	admin                   *kadm.Client
}

func newWorld(t *testing.T, partitions int32, opts ...kfake.Opt) *world {
	t.Helper()
	t.Parallel()
	return newWorldOn(t, logtest.Start(t, opts...), partitions)
}

func newWorldOn(t *testing.T, b *logtest.Broker, partitions int32) *world {
	t.Helper()
	w := &world{Broker: b, t: t, client: b.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))}
	w.admin = kadm.NewClient(w.client)
	var err error
	if w.facts, err = log.CheckBroker(t.Context(), w.client); err != nil {
		t.Fatal(err)
	}
	w.domain, err = log.EnsureDomain(t.Context(), w.client, b.Domain("d"), log.TopicSettings{Partitions: partitions, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.group, w.commands, w.events = log.Group(w.domain.Name), log.CommandsTopic(w.domain.Name), log.EventsTopic(w.domain.Name)
	return w
}

// command puts records into a partition of the commands topic.
func (w *world) command(partition int32, values ...string) {
	w.t.Helper()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Topic: w.commands, Partition: partition, Value: []byte(v)})
	}
	if err := w.client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// page is a record for a partition of the events topic.
func (w *world) page(partition int32, value string) log.Record {
	return log.Record{Topic: w.events, Partition: partition, Key: []byte(value), Value: []byte(value)}
}

// pages are the values of all committed pages, by partition and offset.
func (w *world) pages() []string { return values(logtest.ReadCommitted(w.t, w.Cluster, w.events)) }

func values(records []*kgo.Record) []string {
	all := make([]string, len(records))
	for i, r := range records {
		all[i] = string(r.Value)
	}
	return all
}

func (w *world) wantPages(want ...string) {
	w.t.Helper()
	if got := w.pages(); !slices.Equal(got, want) {
		w.t.Errorf("committed pages: %q, want %q", got, want)
	}
}

// wantNothingOpen wants all transactions ended, and not only by their timeout.
func (w *world) wantNothingOpen() {
	w.t.Helper()
	begun := time.Now()
	eventually(w.t, "nothing is open", func() bool {
		stable, err := log.StableOffsets(w.t.Context(), w.client, w.events)
		ok(w.t, err)
		ends, err := log.HighWatermarks(w.t.Context(), w.client, w.events)
		ok(w.t, err)
		return maps.Equal(stable, ends)
	})
	if took := time.Since(begun); took > 5*time.Second {
		w.t.Errorf("a transaction was open for %v", took)
	}
}

// committed is what the group has committed for a partition.
func (w *world) committed(partition int32) (offset int64, metadata string) {
	w.t.Helper()
	offsets, err := w.admin.FetchOffsets(w.t.Context(), w.group)
	if err != nil {
		w.t.Fatal(err)
	}
	o, ok := offsets.Lookup(w.commands, partition)
	if !ok {
		return -1, ""
	}
	return o.At, o.Metadata
}

// members are the group's member ids by incarnation.
func (w *world) members() map[string]string {
	w.t.Helper()
	groups, err := w.admin.DescribeGroups(w.t.Context(), w.group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	members := make(map[string]string)
	for _, m := range groups[w.group].Members {
		members[m.ClientID[strings.LastIndexByte(m.ClientID, '/')+1:]] = m.MemberID
	}
	return members
}

// evict takes a worker out of the group, as its peers do when it has died.
func (w *world) evict(x *worker) {
	w.t.Helper()
	w.evictMember(w.members()[x.id.Incarnation])
}

func (w *world) evictMember(id string) {
	w.t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = w.group, id
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID = id
	req.Members = append(req.Members, m)
	if _, err := req.RequestWith(w.t.Context(), w.client); err != nil {
		w.t.Fatal(err)
	}
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

// worker is a member of the group on a wire of its own, and the owner of what
// it is assigned.
type worker struct {
	*partitioning.Member
	w    *world
	t    *testing.T
	id   partitioning.Identity
	wire *logtest.Wire

	// revoking and losing run in the owner's callbacks, resuming says whether
	// what is assigned is read at once.
	revoking, losing func([]*partitioning.Claim)
	resuming         bool

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with each callback
	held    map[int32]*partitioning.Claim
	heard   []string // the owner's callbacks, as "assigned 0"
}

type option func(*worker, *partitioning.Config)

// oldTransactions has a worker speak transaction version 1, as on a cluster
// where 2 is not finalized.
func oldTransactions(_ *worker, c *partitioning.Config) { c.TransactionVersion = 0 }

// notReading leaves partitions paused as they are when they are assigned.
func notReading(x *worker, _ *partitioning.Config) { x.resuming = false }

// direct has a worker speak to the brokers without a wire, of which each can
// lead to one only.
func direct(x *worker, c *partitioning.Config) { c.Cluster = x.w.Cluster }

func missing(m partitioning.MissingOffsets) option {
	return func(_ *worker, c *partitioning.Config) { c.MissingOffsets = m }
}

// worker makes one that has not joined.
func (w *world) worker(opts ...option) *worker {
	w.t.Helper()
	x := &worker{
		w: w, t: w.t, id: partitioning.NewIdentity(""), wire: logtest.NewWire(w.t, w.Cluster.Brokers[0]), resuming: true,
		held: make(map[int32]*partitioning.Claim), changed: make(chan struct{}),
	}
	config := partitioning.Config{
		Cluster: w.Cluster, Identity: x.id,
		Group: w.group, Topic: w.commands, TopicID: w.domain.CommandsID,
		TransactionVersion: w.facts.TransactionVersion,
		MissingOffsets:     partitioning.RefuseMissing,
		Logger:             w.Cluster.Logger,
	}
	config.Cluster.Brokers = []string{x.wire.Addr()}
	for _, o := range opts {
		o(x, &config)
	}
	x.Member = partitioning.NewMember(config, x)
	return x
}

// join makes a worker that joins, and leaves at the end of the test.
func (w *world) join(opts ...option) *worker {
	w.t.Helper()
	x := w.worker(opts...)
	if err := x.Join(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(x.leave)
	return x
}

func (x *worker) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	if x.wire.IsCut() {
		cancel()
		go x.Leave(ctx) // its retries may go on for a while
		return
	}
	x.Leave(ctx)
}

// crash cuts the worker off, and has it evicted.
func (x *worker) crash() {
	x.t.Helper()
	x.wire.Cut()
	x.w.evict(x)
}

func (x *worker) Assigned(claims []*partitioning.Claim) {
	x.note("assigned", claims, func(c *partitioning.Claim) { x.held[c.Partition] = c })
	x.mu.Lock()
	resuming := x.resuming
	x.mu.Unlock()
	if resuming {
		for _, c := range claims {
			x.Resume(c.Partition)
		}
	}
}

func (x *worker) Revoked(claims []*partitioning.Claim) {
	if x.revoking != nil {
		x.revoking(claims)
	}
	x.note("revoked", claims, func(c *partitioning.Claim) { delete(x.held, c.Partition) })
}

func (x *worker) Lost(claims []*partitioning.Claim) {
	if x.losing != nil {
		x.losing(claims)
	}
	x.note("lost", claims, func(c *partitioning.Claim) { delete(x.held, c.Partition) })
}

func (x *worker) note(what string, claims []*partitioning.Claim, each func(*partitioning.Claim)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range claims {
		each(c)
		x.heard = append(x.heard, fmt.Sprint(what, " ", c.Partition))
	}
	close(x.changed)
	x.changed = make(chan struct{})
}

// await waits until the owner's state is as wanted.
func (x *worker) await(what string, holds func() bool) {
	x.t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	for {
		x.mu.Lock()
		ok, changed := holds(), x.changed
		x.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			x.t.Fatalf("after %v: not so: %s; heard %q", bound, what, x.heard)
		}
	}
}

// claim waits until the worker holds the partition.
func (x *worker) claim(partition int32) (c *partitioning.Claim) {
	x.t.Helper()
	x.await(fmt.Sprint("holds ", partition), func() bool { c = x.held[partition]; return c != nil })
	return c
}

// claims are those that the worker holds now.
func (x *worker) claims() map[int32]*partitioning.Claim {
	x.mu.Lock()
	defer x.mu.Unlock()
	return maps.Clone(x.held)
}

// without waits until the worker has heard that it no longer holds the partition.
func (x *worker) without(partition int32) {
	x.t.Helper()
	x.await(fmt.Sprint("is without ", partition), func() bool { return x.held[partition] == nil })
}

// commit commits pages to the claim's partition.
func (x *worker) commit(c *partitioning.Claim, pages ...string) error {
	return x.commitWithin(bound, c, pages...)
}

func (x *worker) commitWithin(d time.Duration, c *partitioning.Claim, pages ...string) error {
	tx := partitioning.Transaction{Offsets: []partitioning.Offset{c.Offset()}}
	for _, p := range pages {
		tx.Records = append(tx.Records, x.w.page(c.Partition, p))
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return x.Commit(ctx, tx)
}

// mustCommit commits, again if a rebalance comes in between.
func (x *worker) mustCommit(c *partitioning.Claim, pages ...string) {
	x.t.Helper()
	for {
		err := x.commit(c, pages...)
		if errors.Is(err, partitioning.ErrDeposed) && !c.Ended() {
			continue
		}
		ok(x.t, err)
		return
	}
}

// poll waits for the next records of a partition.
func (x *worker) poll() []partitioning.Fetched {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), bound)
	defer cancel()
	for {
		polled, err := x.Poll(ctx, 100)
		if err != nil {
			x.t.Fatal(err)
		}
		if len(polled) > 0 {
			return polled
		}
	}
}

// failed waits until the member says why it can't go on.
func (x *worker) failed() error {
	x.t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	select {
	case err := <-x.Failed():
		return err
	case <-deadline.C:
		x.t.Fatalf("after %v: the member still goes on", bound)
		return nil
	}
}

// ok fails the test on an error.
func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stable says that the group is not about to share out its partitions anew.
func (w *world) stable() bool {
	groups, err := w.admin.DescribeGroups(w.t.Context(), w.group)
	ok(w.t, err)
	return groups[w.group].State == "Stable"
}
