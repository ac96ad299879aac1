package reactor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/coordinators/loop"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// Config is what a worker needs.
type Config struct {
	// Name is the service's, as dead letters and metrics have it:
	// "projector.summary", "saga.fulfilment".
	Name    string
	Group   string
	Domain  log.Domain
	Cluster log.Cluster
	Member  partitioning.Config // its group, topic and logger are filled in

	Service Service
	Metrics *Metrics
	Logger  *slog.Logger

	// Synchronous says that answers to synchronous commands wait for the service:
	// Replies is how they hear of it.
	Synchronous bool
	Replies     *log.Writer

	// Attempts is how often a page is called in vain before it is a dead letter.
	Attempts int
	// Gate, if given, is asked after each assignment whether the partitions may be
	// read. It waits until it knows, or ctx ends.
	Gate func(ctx context.Context) bool
}

// Worker is one member of the group that has a service react to a domain.
type Worker struct {
	c       Config
	member  *partitioning.Member
	eraser  Eraser // nil if the service is none
	metrics counts
	log     *slog.Logger
	loop    *loop.Loop
	askers  *loop.Askers
	work    context.Context // ends when the worker has given its partitions up
	timeout time.Duration   // of a call

	revokeTimeout time.Duration
	most          int // mostOpen

	// All below is owned by the loop.
	parts      map[int32]*part
	stopping   bool
	held       int // bytes of pages that were admitted and are not committed
	toCall     []*line
	asking     calls.Asking
	ready      []*reaction // wait to be committed
	committing []*reaction
	inCommit   bool
	failures   int           // commits in a row that came to nothing
	paused     bool          // until the next try after a failure
	oneByOne   int           // how many more are committed alone
	wakeAt     time.Time     // when the next step is due by itself; zero if none is
	wantsRoom  chan struct{} // closed when more records may be polled; nil if nobody waits
	idleSince  time.Time     // since when offsets wait that nothing else is committed with
}

// NewWorker makes a worker; Run starts it.
func NewWorker(c Config) *Worker {
	w := &Worker{
		c: c, log: c.Logger.With("service", c.Name, "domain", c.Domain.Name),
		metrics: c.Metrics.of(c.Name, c.Domain.Name), loop: loop.New(), askers: loop.NewAskers(),
		timeout: calls.Timeout, revokeTimeout: loop.DrainTimeout, most: mostOpen, parts: make(map[int32]*part),
	}
	w.eraser, _ = c.Service.(Eraser)
	m := c.Member
	m.Cluster, m.Logger, m.Group = c.Cluster, w.log, c.Group
	m.Topic, m.TopicID = log.EventsTopic(c.Domain.Name), c.Domain.EventsID
	m.FetchPartition = fetchPartition
	m.MaxBatchBytes = func(topic string) int32 {
		if topic == log.DeadLettersTopic(c.Domain.Name) {
			return c.Domain.CommandsMaxBytes // its own is as large, by default
		}
		return 0
	}
	w.member = partitioning.NewMember(m, w)
	return w
}

func (w *Worker) reader() log.Reader {
	return log.Reader{Group: w.c.Group, Synchronous: w.c.Synchronous}
}

// Run joins the group and works until ctx ends; then it commits what was reacted
// to, leaves the group and returns nil. It returns an error if it can't go on.
// All that it started has ended by then.
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
	w.loop.Do(w.measure)
	w.loop.Do(w.lookForReplays)

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

// stop commits what was reacted to and gives everything up.
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
		if len(polled) == 0 {
			continue
		}
		var room <-chan struct{}
		w.loop.Call(func() { w.polled(polled); room = w.room() })
		if room != nil {
			w.waitForRoom(ctx, room)
		}
	}
}

// waitForRoom waits until less than enough waits in memory. It is not for long: what
// waits may all be of a partition that doesn't move, and others must not wait for
// that.
func (w *Worker) waitForRoom(ctx context.Context, room <-chan struct{}) {
	late := time.NewTimer(roomTimeout)
	defer late.Stop()
	select {
	case <-room:
	case <-late.C:
	case <-ctx.Done():
	}
}
