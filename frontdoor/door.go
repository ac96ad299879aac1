package frontdoor

import (
	"context"
	"log/slog"
	"slices"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/coordinators/sequel"
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
	// Sequels waits for what synchronous commands lead to; nil if nothing does.
	Sequels *sequel.Gatherer
	// MaxCommand bounds a command in bytes, so that it fits into the commands
	// topic whichever way it goes.
	MaxCommand int
	// TopicLimits are what the commands topics of this process's domains take
	// in a batch (max.message.bytes), where that is less.
	TopicLimits map[string]int32
	// Waiting is limits.waiting: calls that wait for owners elsewhere.
	Waiting int
	Logger  *slog.Logger
}

// Door serves BusinessCoordinator.
type Door struct {
	angzarr.UnimplementedBusinessCoordinatorServer
	c    Config
	warn sometimes
	room room
}

// New makes a door.
func New(c Config) *Door {
	return &Door{c: c, warn: sometimes{log: c.Logger}, room: room{most: int64(c.Waiting)}}
}

// Handle decides a command, wherever its owner is, and answers once its pages
// are committed; if it is synchronous, once what they lead to is.
func (d *Door) Handle(ctx context.Context, book *angzarr.CommandBook) (*angzarr.SynchronousProcessingResponse, error) {
	if st := business.CheckCommands(book); st != nil {
		return nil, st.Err()
	}
	book.CommandId, book.CorrelationId = identify(book.CommandId, book.CorrelationId)
	return d.answer(ctx, &parcel{commands: book, cover: book.Cover, id: book.CommandId, size: proto.Size(book)})
}

// Record commits pages without business logic; else as Handle.
func (d *Door) Record(ctx context.Context, book *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	if st := business.CheckEvents(book); st != nil {
		return nil, st.Err()
	}
	book.CommandId, book.CorrelationId = identify(book.CommandId, book.CorrelationId)
	return d.answer(ctx, &parcel{events: book, cover: book.Cover, id: book.CommandId, size: proto.Size(book)})
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

// answer addresses a parcel and passes it on.
func (d *Door) answer(ctx context.Context, p *parcel) (*angzarr.SynchronousProcessingResponse, error) {
	if limit := d.limit(p.cover.Domain); p.size > limit {
		return nil, tooLarge(p, limit).Err()
	}
	ctx, cancel := answerInTime(ctx)
	defer cancel()
	partitions, st := d.c.Domains.Find(ctx, "cover.domain", p.cover.Domain)
	if st != nil {
		return nil, st.Err()
	}
	p.partition = partitioning.Of(log.Root(p.cover.Root.Value), partitions)
	p.traceparent = traceparentOf(ctx)
	var waits *sequel.Gathering
	if d.c.Sequels != nil && p.synchronous() {
		if waits, st = d.c.Sequels.Begin(ctx); st != nil {
			return nil, st.Err()
		}
		defer waits.End()
		p.answerTo = waits.AnswerTo()
	}
	book, err := d.pass(ctx, p)
	if err != nil {
		return nil, err
	}
	if waits == nil && d.c.Sequels != nil && slices.ContainsFunc(book.Pages, (*angzarr.EventPage).GetSynchronous) {
		waits = d.c.Sequels.Untold() // business logic asks for it, or it is the repeat of a command that did
	}
	if waits != nil {
		return waits.Answer(ctx, book)
	}
	book.Position = nil
	return responseOf(book), nil
}

// synchronous says whether the answer waits for what the parcel leads to.
func (p *parcel) synchronous() bool {
	return slices.ContainsFunc(p.commands.GetPages(), (*angzarr.CommandPage).GetSynchronous) ||
		slices.ContainsFunc(p.events.GetPages(), (*angzarr.EventPage).GetSynchronous)
}

// headroom is what a record's key, headers and batch take beside its value.
const headroom = 4 << 10

func (d *Door) limit(domain string) int {
	if most, known := d.c.TopicLimits[domain]; known {
		return min(d.c.MaxCommand, max(int(most)-headroom, 1))
	}
	return d.c.MaxCommand
}

func responseOf(book *angzarr.EventBook) *angzarr.SynchronousProcessingResponse {
	return &angzarr.SynchronousProcessingResponse{Books: []*angzarr.EventBook{book}}
}

func tooLarge(p *parcel, limit int) *status.Status {
	const what = "the command has %d bytes, more than its topic %s allows (max.message.bytes, less what headers take)"
	topic := log.CommandsTopic(p.cover.Domain)
	if limit == 0 {
		return status.Newf(codes.ResourceExhausted, what, p.size, topic)
	}
	return status.Newf(codes.ResourceExhausted, what+": %d", p.size, topic, limit)
}

// maxTraceparent bounds what goes with every page; version 00 has 55 bytes.
const maxTraceparent = 256

// traceparentOf is the caller's W3C trace context.
func traceparentOf(ctx context.Context) string {
	in, _ := metadata.FromIncomingContext(ctx)
	if t := in.Get(log.HeaderTraceparent); len(t) > 0 && len(t[0]) <= maxTraceparent {
		return t[0]
	}
	return ""
}
