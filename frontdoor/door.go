package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Config is what a door needs.
type Config struct {
	// Workers are those of this process, by domain.
	Workers map[string]*business.Worker
	// Domains knows the domains of the whole cluster.
	Domains *Domains
	// Owners and Peers are nil where peers are off: then what this process
	// does not own goes through the topic.
	Owners *partitioning.Owners
	Peers  *Peers
	// Topic is the way through the topic.
	Topic *Topic
	// MaxCommand bounds a command in bytes, so that it fits into the commands
	// topic whichever way it goes.
	MaxCommand int
	Logger     *slog.Logger
}

// Door serves BusinessCoordinator.
type Door struct {
	angzarr.UnimplementedBusinessCoordinatorServer
	c Config
}

// New makes a door.
func New(c Config) *Door { return &Door{c: c} }

// Handle decides a command, wherever its owner is, and answers once its pages
// are committed.
func (d *Door) Handle(ctx context.Context, book *angzarr.CommandBook) (*angzarr.SynchronousProcessingResponse, error) {
	if st := business.CheckCommands(book); st != nil {
		return nil, st.Err()
	}
	book.CommandId, book.CorrelationId = identify(book.CommandId, book.CorrelationId)
	return d.pass(ctx, &parcel{commands: book, cover: book.Cover, id: book.CommandId, size: proto.Size(book)})
}

// Record commits pages without business logic; else as Handle.
func (d *Door) Record(ctx context.Context, book *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	if st := business.CheckEvents(book); st != nil {
		return nil, st.Err()
	}
	book.CommandId, book.CorrelationId = identify(book.CommandId, book.CorrelationId)
	return d.pass(ctx, &parcel{events: book, cover: book.Cover, id: book.CommandId, size: proto.Size(book)})
}

// identify fills in the ids that the caller left out.
func identify(commandID, correlationID string) (string, string) {
	if commandID == "" {
		commandID = uuid.Must(uuid.NewV7()).String()
	}
	if correlationID == "" {
		correlationID = commandID
	}
	return commandID, correlationID
}

// parcel is what is passed on: commands, or events to record.
type parcel struct {
	commands *angzarr.CommandBook
	events   *angzarr.EventBook

	cover       *angzarr.Cover
	id          string
	size        int
	partition   int32
	traceparent string
}

// pass tries the ways to the owner until there is an answer, or until shortly
// before the caller stops waiting.
func (d *Door) pass(ctx context.Context, p *parcel) (*angzarr.SynchronousProcessingResponse, error) {
	if p.size > d.c.MaxCommand {
		return nil, status.Errorf(codes.ResourceExhausted,
			"the command has %d bytes, more than its topic %s allows (%d; max.message.bytes, less what headers take)",
			p.size, log.CommandsTopic(p.cover.Domain), d.c.MaxCommand)
	}
	partitions, st := d.partitions(ctx, p.cover.Domain)
	if st != nil {
		return nil, st.Err()
	}
	p.partition = partitioning.Of(log.Root(p.cover.Root.Value), partitions)
	p.traceparent = traceparentOf(ctx)
	caller := ctx
	ctx, cancel := answerInTime(ctx)
	defer cancel()

	try := attempt{}
	for n := 0; ; n++ {
		book, err := d.once(ctx, p, &try)
		if err == nil {
			return &angzarr.SynchronousProcessingResponse{Books: []*angzarr.EventBook{book}}, nil
		}
		if !try.again {
			return nil, err
		}
		wait(ctx, pause(n))
		if ctx.Err() != nil {
			return nil, d.gaveUp(caller, p, &try, err)
		}
	}
}

// traceparentOf is the caller's W3C trace context.
func traceparentOf(ctx context.Context) string {
	in, _ := metadata.FromIncomingContext(ctx)
	if t := in.Get(log.HeaderTraceparent); len(t) > 0 {
		return t[0]
	}
	return ""
}

// attempt is what earlier tries have taught.
type attempt struct {
	again bool // the last one may be tried again
	fresh bool // who was thought to be the owner is not
	doubt bool // a try may have led to something
}

// once tries one way. try.again says whether its error is worth another.
func (d *Door) once(ctx context.Context, p *parcel, try *attempt) (*angzarr.EventBook, error) {
	try.again = false
	if w := d.c.Workers[p.cover.Domain]; w != nil {
		book, err := p.decide(ctx, w)
		if !errors.Is(err, business.ErrNotOwner) {
			return book, err
		}
	}
	if d.c.Peers != nil {
		owner, known, err := d.c.Owners.Of(ctx, log.Group(p.cover.Domain), log.CommandsTopic(p.cover.Domain), p.partition, try.fresh)
		if err != nil {
			d.c.Logger.Warn("the owner is not known", "domain", p.cover.Domain, "partition", p.partition, "error", err)
		}
		if err == nil && known && owner.Address != "" && !d.c.Peers.Mine(owner) {
			book, err := d.c.Peers.hand(ctx, owner.Address, p, try)
			if !try.again || !d.c.Peers.away(owner.Address) {
				return book, err
			}
		}
		try.fresh = true
		if err == nil && !known || d.c.Peers.Mine(owner) {
			// A rebalance is under way: in a moment somebody is the owner.
			try.again = true
			return nil, fmt.Errorf("partition %d of %s: %w", p.partition, p.cover.Domain, business.ErrNotOwner)
		}
	}
	return d.c.Topic.send(ctx, p, try)
}

// decide hands the parcel to a worker of this process.
func (p *parcel) decide(ctx context.Context, w *business.Worker) (*angzarr.EventBook, error) {
	if p.commands != nil {
		return w.Handle(ctx, p.commands, p.traceparent)
	}
	return w.Record(ctx, p.events, p.traceparent)
}

// partitions gives the domain's number of partitions, or a status that names the
// domains there are.
func (d *Door) partitions(ctx context.Context, domain string) (int32, *status.Status) {
	n, known, err := d.c.Domains.Partitions(ctx, domain)
	if err != nil {
		return 0, status.Newf(codes.Unavailable, "the cluster's domains can't be listed: %v", err)
	}
	if n == 0 {
		slices.Sort(known)
		return 0, status.Newf(codes.NotFound, "cover.domain: there is no domain %q; there are: %s", domain, strings.Join(known, ", "))
	}
	return n, nil
}

// gaveUp says truly what is known of a command that got no answer in time.
func (d *Door) gaveUp(caller context.Context, p *parcel, try *attempt, err error) error {
	switch {
	case try.doubt:
		return status.Errorf(codes.Unavailable,
			"the command's outcome is not known yet; it is safe to repeat it with command_id %q (last: %v)", p.id, err)
	case errors.Is(caller.Err(), context.Canceled):
		return status.Error(codes.Canceled, "the caller gave up; the command was not applied")
	}
	return status.Errorf(codes.Unavailable,
		"no owner of %s/%d could be reached in time; the command was not applied, and may be repeated with command_id %q (last: %v)",
		p.cover.Domain, p.partition, p.id, err)
}

// answerInTime ends a little before the caller's deadline, so that the caller
// hears what is known instead of its own library's word.
func answerInTime(ctx context.Context) (context.Context, context.CancelFunc) {
	at, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, at.Add(-min(30*time.Millisecond, time.Until(at)/10)))
}

// pause is how long to wait before another try. An owner is there again within a
// heartbeat of a rebalance, 0.3 s.
func pause(n int) time.Duration {
	return min(200*time.Millisecond, 5*time.Millisecond<<min(n, 10))
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
