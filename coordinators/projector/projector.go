// Package projector calls a projector for a domain's committed events, and
// publishes what it makes of them:
//
//	<domain>.events ► reactor ► Projector.HandleSync ► angzarr.projections.<name>
//
// Invariants:
//   - A projection is published in the transaction that commits the offsets of
//     the pages that it was made of: the topic's latest of a root covers exactly
//     the pages that count as seen.
//   - Pages of one root that wait go into one call, in order.
//   - The projection of an erased root gets a tombstone, after that of its last
//     page.
package projector

import (
	"context"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

// Config is what a projector needs.
type Config struct {
	Name        string
	Conn        grpc.ClientConnInterface
	Projections log.Projections // its topic
	Answer      int             // limits.answer, in bytes
}

// Projector is a service that makes read models. It is called by a reactor's
// worker for each of its domains.
type Projector struct {
	c       Config
	client  angzarr.ProjectorClient
	methods reactor.Methods
	options []grpc.CallOption
}

// New makes one.
func New(c Config) *Projector {
	return &Projector{c: c, client: angzarr.NewProjectorClient(c.Conn), options: []grpc.CallOption{
		grpc.MaxCallRecvMsgSize(c.Answer), grpc.StaticMethod(),
	}}
}

// Together is how many pages of a root go into one call at most.
func (p *Projector) Together() int { return 128 }

// Wants is true for all events.
func (p *Projector) Wants(*log.Page) bool { return true }

// Call has the projector take the pages in. What HandleSync answers is to be
// published; an answer without a projection says that there is nothing to see.
func (p *Projector) Call(ctx context.Context, run reactor.Run) ([]log.Record, *reactor.Failure) {
	ctx, book := run.Context(ctx), run.Book()
	var answered *angzarr.Projection
	synced, failure := p.methods.Call(ctx, func(ctx context.Context) (err error) {
		answered, err = p.client.HandleSync(ctx, book, p.options...)
		return err
	}, func(ctx context.Context) error {
		_, err := p.client.Handle(ctx, book, p.options...)
		return err
	})
	if failure != nil || !synced || answered.GetProjection() == nil {
		return nil, failure
	}
	return p.publish(run, answered)
}

// Erased is a tombstone for what was published of the root.
func (p *Projector) Erased(root log.Root) []log.Record {
	return []log.Record{{
		Topic: log.ProjectionsTopic(p.c.Name), Partition: partitioning.Of(root, p.c.Projections.Partitions), Key: root[:],
	}}
}

// headroom is what a record's key, headers and batch take beside its value.
const headroom = 1 << 10

func (p *Projector) publish(run reactor.Run, answered *angzarr.Projection) ([]log.Record, *reactor.Failure) {
	if cover := answered.Cover; cover != nil && !proto.Equal(cover, run.Cover()) {
		return nil, reactor.Refuse(codes.Internal, "the projector answered nonsense: cover is of another aggregate than the events, %s/%s", run.Domain, run.Root)
	}
	answered.Cover = run.Cover()
	answered.Projector, answered.Sequence = p.c.Name, run.Last()
	value, err := proto.Marshal(answered)
	if err != nil {
		return nil, reactor.Refuse(codes.Internal, "the projector answered nonsense: %v", err)
	}
	if most := int(p.c.Projections.MaxBytes) - headroom; len(value) > most {
		return nil, reactor.Refuse(codes.ResourceExhausted, "the projection has %d bytes, more than the topic %s allows (%d, of max.message.bytes)",
			len(value), log.ProjectionsTopic(p.c.Name), most)
	}
	return []log.Record{{
		Topic: log.ProjectionsTopic(p.c.Name), Partition: partitioning.Of(run.Root, p.c.Projections.Partitions),
		Key: run.Root[:], Value: value,
	}}, nil
}
