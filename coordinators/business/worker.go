package business

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/coordinators/loop"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// Config is what a worker needs.
type Config struct {
	Domain  log.Domain
	Cluster log.Cluster
	Member  partitioning.Config // its group, topic and logger are filled in

	Logic   grpc.ClientConnInterface
	Books   *snapshots.Books
	Replies *log.Writer
	Domains Domains
	Metrics *Metrics
	Logger  *slog.Logger

	OpenBook int // limits.open_book, in bytes
	Answer   int // limits.answer, in bytes
	Waiting  int // limits.waiting: commands that wait at the same time
}

// Domains knows the cluster's domains.
type Domains interface {
	// Find gives a domain's number of partitions, or a status that names the
	// field and the domains there are.
	Find(ctx context.Context, field, domain string) (int32, *status.Status)
}

// Worker is one member of a domain's consumer group: the only writer of the
// partitions that it owns.
type Worker struct {
	domain  log.Domain
	cluster log.Cluster
	member  *partitioning.Member
	prover  func(context.Context, []*partitioning.Claim) error // member.Prove
	logic   logic
	books   *snapshots.Books
	replies *log.Writer
	domains Domains
	metrics counts
	log     *slog.Logger
	cover   []byte // see coverBefore
	limits  limits
	loop    *loop.Loop
	askers  *loop.Askers
	work    context.Context // ends when the worker has given its partitions up

	revokeTimeout time.Duration

	// All below is owned by the loop.
	parts      map[int32]*part
	stopping   bool        // nothing more is taken in
	waiting    int         // commands that were admitted and are not finished
	held       int         // parts with records that are not admitted for want of room
	decided    []*decision // wait to be committed
	committing []*decision // are being committed
	sheet      *log.Sheet  // their records
	failures   int         // commits in a row that came to nothing
	paused     bool        // until the next try after a failure
	oneByOne   int         // how many more are committed alone
	wakeAt     time.Time   // when the next step is due by itself; zero if none is
	unproved   []*decision // refusals that wait for the group's word
	proving    bool
	asking     calls.Asking
	toAsk      []question // wait for asking to allow it
	cold       []*part    // of which books are about to be loaded
}

// headroom is what a record's key, headers and batch take beside its value.
const headroom = 4 << 10

// NewWorker makes a worker; Run starts it.
func NewWorker(c Config) *Worker {
	w := &Worker{
		domain: c.Domain, cluster: c.Cluster, sheet: log.NewSheet(c.Domain.Name),
		logic: newLogic(c.Logic, c.Domain.Name, c.Answer),
		books: c.Books, replies: c.Replies, domains: c.Domains, metrics: c.Metrics.of(c.Domain.Name),
		log:  c.Logger.With("domain", c.Domain.Name),
		loop: loop.New(), askers: loop.NewAskers(), cover: coverBefore(c.Domain.Name), parts: make(map[int32]*part),
		revokeTimeout: loop.DrainTimeout,
		limits: limits{
			openBook: c.OpenBook, answer: c.Answer, waiting: c.Waiting,
			page: int(c.Domain.EventsMaxBytes) - headroom, eraseAtOnce: eraseAtOnce,
		},
	}
	m := c.Member
	m.Cluster, m.Logger = c.Cluster, w.log
	m.Group, m.Topic = log.Group(c.Domain.Name), log.CommandsTopic(c.Domain.Name)
	if m.MaxBatchBytes == nil {
		m.MaxBatchBytes = w.maxBatchBytes
	}
	w.member = partitioning.NewMember(m, w)
	w.prover = w.member.Prove
	return w
}

// maxBatchBytes lets what a topic takes be written to it. A dead letter holds
// a command; should its topic take less, the broker says so.
func (w *Worker) maxBatchBytes(topic string) int32 {
	switch topic {
	case log.EventsTopic(w.domain.Name):
		return w.domain.EventsMaxBytes
	case log.CommandsTopic(w.domain.Name), log.DeadLettersTopic(w.domain.Name):
		return w.domain.CommandsMaxBytes
	}
	return 0
}

// Run joins the group and works until ctx ends; then it commits what is decided,
// leaves the group and returns nil. It returns an error if it can't go on. All
// that it started has ended by then, and every call has its answer.
func (w *Worker) Run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	w.work = work
	var group sync.WaitGroup
	group.Go(w.loop.Run)
	if err := w.member.Join(); err != nil {
		w.loop.End()
		group.Wait()
		w.askers.End()
		return err
	}
	polling, stopPolling := context.WithCancel(ctx)
	defer stopPolling()
	group.Go(func() { w.poll(polling) })

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-w.member.Failed():
	}
	stopPolling()
	w.stop(stopWork)
	group.Wait()
	w.askers.End()
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	w.member.Leave(leaving)
	return failed
}

// leaveTimeout bounds how long the group may take to let the member go, which has
// given up its partitions already.
const leaveTimeout = 3 * time.Second

// stop commits what is decided and gives everything up. A commit that is still
// under way after that is cut short: the log tells what became of it.
func (w *Worker) stop(stopWork func()) {
	var claims []*partitioning.Claim
	w.loop.Call(func() {
		w.stopping = true
		for _, p := range w.parts {
			claims = append(claims, p.claim)
		}
	})
	w.Revoked(claims)
	stopWork()
	w.loop.End()
}

// poll hands polled records to the loop until ctx ends.
func (w *Worker) poll(ctx context.Context) {
	const most = 2000 // records, so that the loop gets them in pieces
	for ctx.Err() == nil {
		polled, err := w.member.Poll(ctx, most)
		if err != nil {
			continue
		}
		if len(polled) > 0 {
			// The loop takes its time when it is busy: then it is better not
			// to poll more meanwhile.
			w.loop.Call(func() { w.polled(polled) })
		}
	}
}
