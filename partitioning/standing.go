package partitioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Standing is how far a group has come in one partition of a topic that it reads.
type Standing struct {
	Group     string
	Topic     string
	Partition int32

	Owned bool
	Owner Identity // who owns it

	Start     int64 // the first offset that is kept
	Committed int64 // all before it is finished; -1 if there is no such offset
	End       int64 // the high watermark
	// Waiting is how many offsets before the end are not finished: those of
	// transactions' markers among them, and never less than there are records.
	Waiting int64
	// Since is when the oldest of these records was written, zero if none waits.
	Since time.Time
}

// Standings gives those of all groups whose name begins with the prefix, in order.
func Standings(ctx context.Context, cluster log.Cluster, prefix string) ([]Standing, error) {
	client, err := kgo.NewClient(cluster.Options("angzarr-standings")...)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer client.Close()
	adm := kadm.NewClient(client)
	listed, err := adm.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	var groups []string
	for _, name := range listed.Groups() {
		if strings.HasPrefix(name, prefix) {
			groups = append(groups, name)
		}
	}
	if len(groups) == 0 {
		return nil, nil // the client would describe all there are
	}
	standings, err := progressOf(ctx, adm, groups)
	if err != nil {
		return nil, err
	}
	owners, err := ownersOf(ctx, adm, groups)
	if err != nil {
		return nil, err
	}
	for i := range standings {
		s := &standings[i]
		s.Owner, s.Owned = owners[groupPartition{s.Group, s.Topic, s.Partition}]
	}
	return standings, age(ctx, cluster, standings)
}

// StandingsOf gives those of these groups, without owners and times. Groups that are
// not there have none.
func StandingsOf(ctx context.Context, client *kgo.Client, groups ...string) ([]Standing, error) {
	if len(groups) == 0 {
		return nil, nil // the client would describe all there are
	}
	return progressOf(ctx, kadm.NewClient(client), groups)
}

// progressOf gives standings without owners and times.
func progressOf(ctx context.Context, adm *kadm.Client, groups []string) (all []Standing, err error) {
	topics := make(map[string]bool)
	offsets := adm.FetchManyOffsets(ctx, groups...)
	for _, group := range groups {
		of := offsets[group]
		if err := of.Err; err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return nil, fmt.Errorf("group %s: fetch offsets: %w", group, err)
		}
		of.Fetched.Each(func(o kadm.OffsetResponse) {
			if o.Topic == log.ProjectorsTopic {
				return // who owns it steers a projector, and finishes nothing
			}
			topics[o.Topic] = true
			s := Standing{Group: group, Topic: o.Topic, Partition: o.Partition, Committed: o.At}
			if p, err := restore(o.At, o.Metadata); err == nil {
				for _, done := range p.done {
					s.Waiting -= done.to - done.from
				}
			}
			all = append(all, s)
		})
	}
	if len(topics) == 0 {
		return nil, nil
	}
	names := make([]string, 0, len(topics))
	for name := range topics {
		names = append(names, name)
	}
	ends, err := adm.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list ends of topics %v: %w", names, err)
	}
	starts, err := adm.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list starts of topics %v: %w", names, err)
	}
	all = slices.DeleteFunc(all, func(s Standing) bool {
		end, known := ends.Lookup(s.Topic, s.Partition)
		return !known || errors.Is(end.Err, kerr.UnknownTopicOrPartition) // the topic was deleted
	})
	for i := range all {
		s := &all[i]
		end, _ := ends.Lookup(s.Topic, s.Partition)
		if end.Err != nil {
			return nil, fmt.Errorf("topic %s, partition %d: %w", s.Topic, s.Partition, end.Err)
		}
		start, _ := starts.Lookup(s.Topic, s.Partition)
		s.Start, s.End = start.Offset, end.Offset
		s.Waiting = max(0, s.Waiting+s.End-max(s.Committed, start.Offset))
	}
	slices.SortFunc(all, func(a, b Standing) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return all, nil
}

type groupPartition struct {
	group, topic string
	partition    int32
}

func ownersOf(ctx context.Context, adm *kadm.Client, groups []string) (map[groupPartition]Identity, error) {
	described, err := adm.DescribeGroups(ctx, groups...)
	if err != nil {
		return nil, fmt.Errorf("describe groups %v: %w", groups, err)
	}
	owners := make(map[groupPartition]Identity)
	for _, g := range described {
		if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
			return nil, fmt.Errorf("describe group %s: %w", g.Group, g.Err)
		}
		for _, m := range g.Members {
			assigned, consumer := m.Assigned.AsConsumer()
			if !consumer {
				continue
			}
			id, ours := identityOf(m.ClientID)
			if !ours {
				id.Incarnation = m.ClientID
			}
			for _, t := range assigned.Topics {
				for _, p := range t.Partitions {
					owners[groupPartition{g.Group, t.Topic, p}] = id
				}
			}
		}
	}
	return owners, nil
}

// farthest is how far the oldest waiting record is looked for: markers and what
// an earlier owner finished may stand before it.
const farthest = 1000

// age finds out since when records wait.
func age(ctx context.Context, cluster log.Cluster, standings []Standing) error {
	waiting := make(map[groupPartition]*Standing)
	spans := make(map[string]map[int32]log.Span)
	for i := range standings {
		s := &standings[i]
		if s.Waiting == 0 {
			continue
		}
		if spans[s.Topic] == nil {
			spans[s.Topic] = make(map[int32]log.Span)
		}
		from := max(s.Committed, 0)
		span, more := spans[s.Topic][s.Partition]
		if !more || from < span.From {
			span = log.Span{From: from, To: min(from+farthest, s.End)}
		}
		spans[s.Topic][s.Partition] = span
		waiting[groupPartition{s.Group, s.Topic, s.Partition}] = s
	}
	for topic, of := range spans {
		err := cluster.Scan(ctx, topic, of, func(r *log.Record) error {
			left := 0
			for at, s := range waiting {
				switch {
				case at.topic != topic || !s.Since.IsZero():
				case at.partition == r.Partition && r.Offset >= s.Committed:
					s.Since = r.Time
				default:
					left++
				}
			}
			if left == 0 {
				return log.ErrStop
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
