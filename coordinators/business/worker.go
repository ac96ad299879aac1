package business

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Config is what a worker needs.
type Config struct {
	Domain  log.Domain
	Cluster log.Cluster
	Member  partitioning.Config // its group, topic and logger are filled in

	Logic   grpc.ClientConnInterface
	Books   *snapshots.Books
	Replies *log.Writer
	Metrics *Metrics
	Logger  *slog.Logger

	OpenBook int // limits.open_book, in bytes
	Answer   int // limits.answer, in bytes
	Waiting  int // limits.waiting: commands that wait at the same time
}

// Worker is one member of a domain's consumer group: the only writer of the
// partitions that it owns.
type Worker struct {
	domain  log.Domain
	cluster log.Cluster
	member  *partitioning.Member
	logic   logic
	books   *snapshots.Books
	replies *log.Writer
	metrics *Metrics
	log     *slog.Logger
	limits  limits
	loop    *loop
	work    context.Context // ends when the worker has left its group

	// All below is owned by the loop.
	parts      map[int32]*part
	waiting    int         // commands that were admitted and are not finished
	decided    []*decision // wait to be committed
	committing []*decision // are being committed
	failures   int         // commits in a row that came to nothing
	paused     bool        // until the next try after a failure
	oneByOne   int         // how many more are committed alone
	waking     bool        // a step is on its way
	unproved   []*decision // refusals that wait for the group's word
	proving    bool
	gather     gather
}

// headroom is what a record's key, headers and batch take beside its value.
const headroom = 4 << 10

// NewWorker makes a worker; Run starts it.
func NewWorker(c Config) *Worker {
	w := &Worker{
		domain: c.Domain, cluster: c.Cluster,
		logic: logic{conn: c.Logic, limit: c.Answer},
		books: c.Books, replies: c.Replies, metrics: c.Metrics,
		log:  c.Logger.With("domain", c.Domain.Name),
		loop: newLoop(), parts: make(map[int32]*part),
		limits: limits{
			openBook: c.OpenBook, answer: c.Answer, waiting: c.Waiting,
			page: int(c.Domain.EventsMaxBytes) - headroom,
		},
	}
	m := c.Member
	m.Cluster, m.Logger = c.Cluster, w.log
	m.Group, m.Topic = log.Group(c.Domain.Name), log.CommandsTopic(c.Domain.Name)
	w.member = partitioning.NewMember(m, w)
	return w
}

// Run joins the group and works until ctx ends; then it commits what is decided,
// leaves the group and returns nil. It returns an error if it can't go on.
func (w *Worker) Run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	w.work = work
	if err := w.member.Join(); err != nil {
		return err
	}
	polling, stopPolling := context.WithCancel(ctx)
	defer stopPolling()
	var group errgroup.Group
	group.Go(func() error { w.loop.run(); return nil })
	group.Go(func() error { w.poll(polling); return nil })

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-w.member.Failed():
	}
	stopPolling()
	// Leaving revokes what is claimed, which commits what is decided.
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	w.member.Leave(leaving)
	stopWork()
	w.loop.end()
	if err := group.Wait(); err != nil {
		return err
	}
	return failed
}

// leaveTimeout bounds a graceful stop.
const leaveTimeout = 15 * time.Second

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
			w.loop.call(func() { w.polled(polled) })
		}
	}
}

// Handle decides the command and returns once its pages are committed. The book
// must have passed [CheckCommands], and have its ids. ErrNotOwner says that
// nothing has happened; any other error is a status.
func (w *Worker) Handle(ctx context.Context, book *angzarr.CommandBook, traceparent string) (*angzarr.EventBook, error) {
	value, err := proto.Marshal(book)
	if err != nil {
		return nil, fmt.Errorf("encode the command: %w", err)
	}
	return w.submit(ctx, &command{
		root: log.Root(book.Cover.Root.Value), commands: book, encoded: value,
		cause: log.Cause{
			CommandID: book.CommandId, CorrelationID: book.CorrelationId,
			Traceparent: traceparent, Hops: book.GetSagaOrigin().GetHops(),
		},
	})
}

// Record commits the pages without asking business logic; else as Handle. The
// book must have passed [CheckEvents], and have its ids.
func (w *Worker) Record(ctx context.Context, book *angzarr.EventBook, traceparent string) (*angzarr.EventBook, error) {
	return w.submit(ctx, &command{
		root: log.Root(book.Cover.Root.Value), record: book,
		cause: log.Cause{CommandID: book.CommandId, CorrelationID: book.CorrelationId, Traceparent: traceparent},
	})
}

func (w *Worker) submit(ctx context.Context, c *command) (*angzarr.EventBook, error) {
	c.ctx, c.arrived = ctx, time.Now()
	c.answer = make(chan answer, 1)
	if !w.loop.do(func() { w.called(c) }) {
		return nil, ErrNotOwner
	}
	select {
	case a := <-c.answer:
		return a.book, a.err
	case <-ctx.Done():
		if c.give() {
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		return nil, inDoubt(c.cause.CommandID).Err()
	}
}

// Owns says whether the worker claims the root's partition.
func (w *Worker) Owns(partition int32) bool {
	owned := false
	w.loop.call(func() { owned = w.parts[partition] != nil })
	return owned
}
