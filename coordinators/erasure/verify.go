// Package erasure tells what is left of an aggregate that was erased.
//
//	erase ──► Erased and tombstones, in the log at once ──► nobody reads the pages
//	                          │
//	                          └─ compaction, retention ──► nobody could: gone
//
// Invariants:
//   - Gone is said only after all topics that may hold something of the aggregate
//     were read to their ends. What an aborted transaction has left is not looked
//     at; compaction takes it with the rest.
package erasure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Domains knows the domains of the cluster.
type Domains interface {
	// Find gives a domain's number of partitions, or a status that names the
	// request's field and the domains there are.
	Find(ctx context.Context, field, domain string) (int32, *status.Status)
}

// Verifier reads what is on the brokers' disks.
type Verifier struct {
	cluster log.Cluster
	admin   *log.Admin
	domains Domains
}

// New makes a verifier.
func New(cluster log.Cluster, admin *log.Admin, domains Domains) *Verifier {
	return &Verifier{cluster, admin, domains}
}

// Verify tells what is left of an aggregate. What it was told is erased before is
// taken for that.
func (v *Verifier) Verify(ctx context.Context, r *angzarr.VerifyErasureRequest) (*angzarr.VerifyErasureResponse, error) {
	root, err := log.RootOf(r.GetCover().GetRoot().GetValue())
	switch {
	case r.GetCover().GetDomain() == "":
		return nil, status.Error(codes.InvalidArgument, "cover.domain: is missing")
	case err != nil:
		return nil, status.Errorf(codes.InvalidArgument, "cover.root: %v", err)
	}
	partitions, st := v.domains.Find(ctx, "cover.domain", r.Cover.Domain)
	if st != nil {
		return nil, st.Err()
	}
	answer, err := v.look(ctx, aggregate{r.Cover.Domain, root, partitioning.Of(root, partitions)})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case err != nil:
		return nil, status.Errorf(codes.Unavailable, "%v", err)
	}
	return answer, nil
}

// aggregate is what is looked for.
type aggregate struct {
	domain    string
	root      log.Root
	partition int32
}

// look reads topic by topic.
func (v *Verifier) look(ctx context.Context, a aggregate) (*angzarr.VerifyErasureResponse, error) {
	published, err := v.admin.AllProjections(ctx)
	if err != nil {
		return nil, err
	}
	projections := slices.Sorted(maps.Keys(published))
	keeping, err := v.admin.KeepingOf(ctx, a.domain, projections...)
	if err != nil {
		return nil, err
	}
	answer := &angzarr.VerifyErasureResponse{}
	add := func(topic string, partition int32, f *finding, what, unfinished string) {
		if answer.Erased == nil {
			unfinished = "they have no tombstone"
		}
		if f.records > 0 {
			answer.Remains = append(answer.Remains, f.remains(topic, partition, what, keeping[topic], unfinished))
		}
	}
	events := eventsOf(a)
	topic := log.EventsTopic(a.domain)
	if err := v.read(ctx, topic, events.take); err != nil {
		return nil, err
	}
	answer.Erased = events.erased
	add(topic, a.partition, &events.pages, "pages and snapshots", brokenOff)
	for _, other := range others(a) {
		found := make(map[int32]*finding)
		err := v.read(ctx, other.topic, func(r *log.Record) {
			f := found[r.Partition]
			if f == nil {
				f = &finding{}
				found[r.Partition] = f
			}
			other.take(f, r)
		})
		if err != nil {
			return nil, err
		}
		for _, p := range slices.Sorted(maps.Keys(found)) {
			add(other.topic, p, found[p], other.what, brokenOff)
		}
	}
	for _, topic := range projections {
		f := &finding{}
		var at int32
		err := v.read(ctx, topic, func(r *log.Record) {
			if a.isProjection(r) {
				at = r.Partition
				f.see(r, r.Value != nil)
			}
		})
		if errors.Is(err, log.ErrNoTopic) {
			continue // it was deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		add(topic, at, f, "projections", "they have no tombstone: the projector's worker has not come to the erasure yet, or is off")
	}
	return answer, nil
}

const brokenOff = "not all of them have a tombstone: the erasure is under way, or was broken off; erase it again"

// read reads all of a topic.
func (v *Verifier) read(ctx context.Context, topic string, take func(*log.Record)) error {
	ends, err := v.admin.HighWatermarks(ctx, topic)
	var starts map[int32]int64 // later than 0 where age has deleted something
	if err == nil {
		starts, err = v.admin.Starts(ctx, topic)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	spans := make(map[int32]log.Span, len(ends))
	for p, end := range ends {
		spans[p] = log.Span{From: starts[p], To: end}
	}
	return v.cluster.Scan(ctx, topic, spans, func(r *log.Record) error {
		take(r)
		return nil
	})
}

// finding is what is there of one kind.
type finding struct {
	records uint64 // with what they hold
	newest  time.Time
	stands  bool      // the last of them has no tombstone
	ended   time.Time // when the last tombstone was written
}

// see takes in a record, or its tombstone.
func (f *finding) see(r *log.Record, holds bool) {
	if !holds {
		f.ended, f.stands = r.Time, false
		return
	}
	f.records++
	f.newest, f.stands = r.Time, true
}

// remains tells of what was found. What stands in a compacted topic stays:
// unfinished says why it does.
func (f *finding) remains(topic string, partition int32, what string, k log.Keeping, unfinished string) *angzarr.VerifyErasureResponse_Remains {
	r := &angzarr.VerifyErasureResponse_Remains{Topic: topic, Partition: partition, What: what, Records: f.records}
	from := f.newest
	if k.Compacted {
		from = f.ended
	}
	switch {
	case k.Compacted && f.stands:
		r.Condition = unfinished
	case k.For == log.Forever:
		r.Condition = "the topic's settings set no time: give it a max.compaction.lag.ms, or a retention.ms"
	default:
		r.GoneBy = timestamppb.New(from.Add(k.For))
		if k.Compacted {
			r.Condition = "if something is written to the partition after that, which closes its segment; to erase it again is enough"
		}
	}
	return r
}
