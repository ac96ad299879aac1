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
	"strconv"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Config is what a projector needs.
type Config struct {
	Name        string
	Conn        grpc.ClientConnInterface
	Projections log.Projections // its topic
	Answer      int             // limits.answer, in bytes
	// Latest reads what stands of a root in a partition of a topic, for dead letters
	// that are replayed.
	Latest func(ctx context.Context, topic string, partition int32, root log.Root) (*log.Record, error)

	// Version is the one that is called, 0 or 1 for the first. Staged says that its
	// projections go to a topic of their own, as another one's are shown.
	Version uint32
	Staged  bool
}

// MetadataVersion tells a projector for which of its versions a call is. The first
// one's calls don't have it.
const MetadataVersion = "angzarr-projector-version"

// Projector is a service that makes read models. It is called by a reactor's
// worker for each of its domains.
type Projector struct {
	c       Config
	client  angzarr.ProjectorClient
	methods reactor.Methods
	options []grpc.CallOption
	topic   string
	headers []log.Header // of each record
}

// New makes one.
func New(c Config) *Projector {
	p := &Projector{c: c, client: angzarr.NewProjectorClient(c.Conn), options: []grpc.CallOption{
		grpc.MaxCallRecvMsgSize(c.Answer), grpc.StaticMethod(),
	}, topic: log.ProjectionsTopic(c.Name)}
	if c.Version > 1 {
		p.headers = []log.Header{{Key: log.HeaderProjectorVersion, Value: strconv.AppendUint(nil, uint64(c.Version), 10)}}
	}
	if c.Staged {
		p.topic = log.StagedProjectionsTopic(c.Name, c.Version)
	}
	return p
}

// Together is how many pages of a root go into one call at most.
func (p *Projector) Together() int { return 128 }

// Wants is true for all events.
func (p *Projector) Wants(*log.Page) bool { return true }

// Call has the projector take the pages in. What HandleSync answers is to be
// published; an answer without a projection says that there is nothing to see.
func (p *Projector) Call(ctx context.Context, run reactor.Run) ([]log.Record, *reactor.Failure) {
	ctx, book := run.Context(ctx), run.Book()
	var latest *angzarr.Projection
	if run.Replayed {
		var erased bool
		var failure *reactor.Failure
		if latest, erased, failure = p.latest(ctx, run.Root); failure != nil || erased {
			return nil, failure
		}
	}
	if p.headers != nil {
		ctx = metadata.AppendToOutgoingContext(ctx, MetadataVersion, string(p.headers[0].Value))
	}
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
	return p.publish(run, answered, latest)
}

// latest gives what is published of a root, nil if nothing is, and whether the root
// was erased.
func (p *Projector) latest(ctx context.Context, root log.Root) (*angzarr.Projection, bool, *reactor.Failure) {
	r, err := p.c.Latest(ctx, p.topic, p.partition(root), root)
	if err != nil {
		return nil, false, &reactor.Failure{Status: status.Newf(codes.Unavailable, "what is published can't be read: %v", err), Fate: reactor.Waits}
	}
	if r == nil || r.Value == nil {
		// Who exchanges versions signs its tombstones.
		return nil, r != nil && r.Header(log.HeaderProjectorVersion) == nil, nil
	}
	latest := &angzarr.Projection{}
	if err := proto.Unmarshal(r.Value, latest); err != nil {
		return nil, false, nil // it is written over
	}
	return latest, false, nil
}

func (p *Projector) partition(root log.Root) int32 {
	return partitioning.Of(root, p.c.Projections.Partitions)
}

// Erased is a tombstone for what was published of the root.
func (p *Projector) Erased(root log.Root) []log.Record {
	return []log.Record{{
		Topic: p.topic, Partition: p.partition(root), Key: root[:],
	}}
}

// headroom is what a record's key, headers and batch take beside its value.
const headroom = 1 << 10

// publish makes the record of an answer. Latest is what was published before, where
// a page comes late: what is published covers that too.
func (p *Projector) publish(run reactor.Run, answered, latest *angzarr.Projection) ([]log.Record, *reactor.Failure) {
	if cover := answered.Cover; cover != nil && !proto.Equal(cover, run.Cover()) {
		return nil, reactor.Refuse(codes.Internal, "the projector answered nonsense: cover is of another aggregate than the events, %s/%s", run.Domain, run.Root)
	}
	answered.Cover = run.Cover()
	answered.Projector, answered.Sequence = p.c.Name, max(run.Last(), latest.GetSequence())
	value, err := proto.Marshal(answered)
	if err != nil {
		return nil, reactor.Refuse(codes.Internal, "the projector answered nonsense: %v", err)
	}
	if most := int(p.c.Projections.MaxBytes) - headroom; len(value) > most {
		return nil, reactor.Refuse(codes.ResourceExhausted, "the projection has %d bytes, more than the topic %s allows (%d, of max.message.bytes)",
			len(value), p.topic, most)
	}
	return []log.Record{{
		Topic: p.topic, Partition: p.partition(run.Root),
		Key: run.Root[:], Value: value, Headers: p.headers,
	}}, nil
}
