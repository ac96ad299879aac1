package takeover

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// domain is a domain of the benchmark's own, with aggregates that were filled in.
type domain struct {
	name       string
	what       string // in reports
	seed       uint64
	aggregates int
	partitions int32
	ledger     ledger
}

func (d *domain) events() string   { return log.EventsTopic(d.name) }
func (d *domain) commands() string { return log.CommandsTopic(d.name) }
func (d *domain) group() string    { return log.Group(d.name) }

// all are its partitions.
func (d *domain) all() (partitions []int32) {
	for p := range d.partitions {
		partitions = append(partitions, p)
	}
	return partitions
}

// newDomain makes the topics of a domain.
func (w *world) newDomain(ctx context.Context, what string, aggregates int) (*domain, error) {
	d := &domain{
		name: fmt.Sprintf("takeover-%s-%d", w.id, len(w.domains)), what: what,
		seed: uint64(len(w.domains)+1) << 40, aggregates: aggregates, partitions: w.Partitions,
	}
	w.domains = append(w.domains, d)
	settings := log.TopicSettings{Partitions: w.Partitions, ReplicationFactor: w.Replication}
	_, err := log.EnsureDomain(ctx, w.client, d.name, settings)
	return d, err
}

const (
	pagesEach     = 2
	snapshotAmong = 4 // one aggregate of so many has a snapshot, too
)

// filled gives *d, after it was made and filled in if it wasn't there yet.
func (w *world) filled(ctx context.Context, d **domain, what string, aggregates int) (*domain, error) {
	if *d != nil {
		return *d, nil
	}
	made, err := w.newDomain(ctx, what, aggregates)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := w.fill(ctx, made); err != nil {
		return nil, fmt.Errorf("fill %s: %w", made.name, err)
	}
	w.Log.Info("filled a domain", "name", made.name, "aggregates", aggregates, "took", time.Since(begun).Round(time.Millisecond))
	*d = made
	return made, nil
}

// fill writes pages as a worker would, straight into the events topic while
// nobody owns it, without transactions. Pages of an aggregate lie apart.
func (w *world) fill(ctx context.Context, d *domain) error {
	ctx, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	produced := func(_ *kgo.Record, err error) {
		if err != nil {
			failed(err)
		}
	}
	for page := range uint32(pagesEach) {
		for n := range d.aggregates {
			root := rootOf(d.seed, n)
			partition := partitioning.Of(root, d.partitions)
			number := d.ledger.next()
			p := log.Page{
				Root: root, Sequence: page + 1, CreatedAt: time.Now(), TypeURL: payloadType, Value: payload(number),
				Cause: log.Cause{CommandID: commandID(number)},
			}
			sheet := log.NewSheet(d.name)
			sheet.AddPage(&p, partition)
			if page+1 == pagesEach && n%snapshotAmong == 0 {
				state := &anypb.Any{TypeUrl: payloadType, Value: p.Value}
				sheet.AddSnapshot(root, &pb.Snapshot{Sequence: p.Sequence, State: state}, partition)
			}
			for i := range sheet.Records {
				w.client.Produce(ctx, sheet.Records[i].ToClient(), produced)
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	if err := w.client.Flush(ctx); err != nil {
		return context.Cause(ctx)
	}
	d.ledger.filled = d.ledger.issued.Load()
	return context.Cause(ctx)
}

// clean deletes all that the run has written.
func (w *world) clean(ctx context.Context) error {
	existing, err := w.admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	names := slices.DeleteFunc(existing.Names(), func(name string) bool {
		return !slices.ContainsFunc(w.domains, func(d *domain) bool {
			return strings.HasPrefix(name, strings.TrimSuffix(d.events(), "events"))
		})
	})
	if len(names) > 0 {
		if _, err := w.admin.DeleteTopics(ctx, names...); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
	}
	for _, d := range w.domains {
		if err := w.forget(ctx, shelfKeys(d)); err != nil {
			return err
		}
	}
	return nil
}

// shelfKeys is the pattern of a domain's keys in Redis, by partition.
func shelfKeys(d *domain) string { return "angzarr:{" + d.name + "/*" }

// forget deletes keys.
func (w *world) forget(ctx context.Context, pattern string) error {
	return w.keys(ctx, pattern, func(keys []string) error {
		return w.redis.Unlink(ctx, keys...).Err()
	})
}

// keys gives the keys of a pattern, some at a time.
func (w *world) keys(ctx context.Context, pattern string, fn func([]string) error) error {
	cursor := uint64(0)
	for {
		keys, next, err := w.redis.Scan(ctx, cursor, pattern, 5000).Result()
		if err == nil && len(keys) > 0 {
			err = fn(keys)
		}
		if err != nil {
			return fmt.Errorf("redis: %s: %w", pattern, err)
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// told is what Redis says of itself, 0 if it doesn't.
func (w *world) told(ctx context.Context, section string, keys ...string) (sum float64) {
	info, err := w.redis.Info(ctx, section).Result()
	if err != nil {
		return 0
	}
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if slices.Contains(keys, key) {
			n, _ := strconv.ParseFloat(value, 64)
			sum += n
		}
	}
	return sum
}

// memory is what Redis takes, in bytes.
func (w *world) memory(ctx context.Context) float64 { return w.told(ctx, "memory", "used_memory") }

// processor is the time that Redis has taken of a processor so far, in seconds.
func (w *world) processor(ctx context.Context) float64 {
	return w.told(ctx, "cpu", "used_cpu_user", "used_cpu_sys")
}
