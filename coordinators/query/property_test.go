package query_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// seen is what a subscriber has got, by partition: root and number of each page.
type seen struct {
	partitions int32
	by         map[int32][]string
	pages      int
}

func (s *seen) add(book *angzarr.EventBook) {
	if len(book.Pages) == 0 {
		return
	}
	root := log.Root(book.Cover.Root.Value)
	p := partitioning.Of(root, s.partitions)
	for _, page := range book.Pages {
		s.by[p] = append(s.by[p], fmt.Sprint(root, "/", page.GetNum()))
		s.pages++
	}
}

func (w *world) nothing() *seen {
	return &seen{partitions: w.domain.Partitions, by: make(map[int32][]string)}
}

// logOf is what somebody must have got who wants these roots.
func (w *world) logOf(wanted func(log.Root) bool) *seen {
	s := &seen{partitions: w.domain.Partitions, by: make(map[int32][]string)}
	for _, r := range logtest.ReadCommitted(w, w.broker.Cluster, log.EventsTopic(w.domain.Name)) {
		if root, sequence, kind := log.ParseKey(r.Key); kind == log.KeyPage && wanted(root) {
			s.by[r.Partition] = append(s.by[r.Partition], fmt.Sprint(root, "/", sequence))
			s.pages++
		}
	}
	return s
}

// writing writes pages of random roots in random transactions, some of which are
// aborted; at times the writer is fenced by its successor in the middle of one, as
// in a takeover.
func (w *world) writing(rng *rand.Rand, roots []uuid.UUID, transactions int) {
	last := make(map[uuid.UUID]uint32)
	for n := range transactions {
		next := make(map[uuid.UUID]uint32)
		var records []*kgo.Record
		for range 1 + rng.IntN(8) {
			root := roots[rng.IntN(len(roots))]
			if next[root] == 0 {
				next[root] = last[root]
			}
			next[root]++
			records = append(records, w.page(root, next[root], strings.Repeat("x", rng.IntN(2000))))
			if rng.IntN(6) == 0 {
				records = append(records, w.snapshotAt(root, next[root]))
			}
		}
		w.begin(records...)
		switch rng.IntN(8) {
		case 0:
			w.end(kgo.TryAbort)
			continue
		case 1:
			w.writer = w.broker.Client(w, kgo.TransactionalID(w.domain.Name), kgo.RecordPartitioner(kgo.ManualPartitioner()))
			if _, _, err := w.writer.ProducerID(w.Context()); err != nil {
				w.Errorf("transaction %d: take over: %v", n, err)
			}
			continue
		}
		w.end(kgo.TryCommit)
		for root, sequence := range next {
			last[root] = sequence
		}
	}
}

// reading gets what a query wants, at one door after the other, hanging up and
// resuming by chance, until it has got as much as there is to get.
func (w *world) reading(rng *rand.Rand, doors []angzarr.EventQueryClient, query *angzarr.Query, got *seen, total func() (int, bool)) error {
	deadline := time.Now().Add(50 * time.Second)
	for {
		ctx, hangUp := context.WithDeadline(w.Context(), deadline)
		stream, err := doors[rng.IntN(len(doors))].Synchronize(ctx)
		if err == nil {
			err = stream.Send(query)
		}
		for left := rng.IntN(60); err == nil; left-- {
			if n, known := total(); known && got.pages >= n {
				hangUp()
				return nil
			}
			if left < 0 && rng.IntN(3) > 0 {
				break
			}
			wait, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			var book *angzarr.EventBook
			book, err = recv(wait, stream, hangUp)
			cancel()
			if err == nil {
				got.add(book)
				query.Position = book.Position
			}
		}
		hangUp()
		if time.Now().After(deadline) {
			return fmt.Errorf("it has got %d pages", got.pages)
		}
	}
}

// recv gives the next book, or hangs up where there is none for a moment, as a
// subscriber that has broken off.
func recv(ctx context.Context, stream interface {
	Recv() (*angzarr.EventBook, error)
}, hangUp func()) (*angzarr.EventBook, error) {
	stop := context.AfterFunc(ctx, hangUp)
	defer stop()
	return stream.Recv()
}

// Whatever happens between the log and a subscriber, it sees the log: each page
// once, in order.
func TestSubscribersSeeTheLog(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wire := logtest.NewWire(t, w.broker.Cluster.Brokers[0])
			var calm atomic.Bool
			for i, key := range []kmsg.Key{kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata} {
				fates, mu := rand.New(rand.NewPCG(seed, uint64(i))), sync.Mutex{}
				wire.On(key, func(kmsg.Request) logtest.Fate {
					mu.Lock()
					defer mu.Unlock()
					if calm.Load() || fates.IntN(12) > 0 {
						return logtest.Passes
					}
					return []logtest.Fate{logtest.LosesItself, logtest.LosesAnswer}[fates.IntN(2)]
				})
			}
			broken := w.broker.Cluster
			broken.Brokers = []string{wire.Addr()}
			doors := []angzarr.EventQueryClient{w.serve(broken), w.serve(broken)}
			roots := make([]uuid.UUID, 12)
			for i := range roots {
				roots[i] = uuid.New()
			}
			queries := []*angzarr.Query{{}, w.all(), {Domain: w.domain.Name}, {}}
			for _, root := range roots[:5] {
				queries = append(queries, w.of(root, 0, 0))
			}
			wants := func(q *angzarr.Query) func(log.Root) bool {
				return func(r log.Root) bool { return q.Root == nil || log.Root(q.Root.Value) == r }
			}

			done := make(chan struct{})
			var all sync.WaitGroup
			for i, q := range queries {
				all.Go(func() {
					var want *seen
					total := func() (int, bool) {
						select {
						case <-done:
							if want == nil {
								want = w.logOf(wants(q))
							}
							return want.pages, true
						default:
							return 0, false
						}
					}
					got := w.nothing()
					err := w.reading(rand.New(rand.NewPCG(seed, uint64(100+i))), doors, q, got, total)
					if want == nil {
						want = w.logOf(wants(q))
					}
					want.compare(t, fmt.Sprintf("subscriber %d (%v)", i, q.Root), got)
					if err != nil {
						t.Errorf("subscriber %d: %v", i, err)
					}
				})
			}
			for i := range uint64(2) {
				all.Go(func() { w.changing(rand.New(rand.NewPCG(seed, 200+i)), doors, roots[:6], done) })
			}
			w.writing(rand.New(rand.NewPCG(seed, 99)), roots, 150)
			calm.Store(true)
			close(done)
			all.Wait()
		})
	}
}

// compare says where somebody has got something else than the log has.
func (s *seen) compare(t *testing.T, who string, got *seen) {
	t.Helper()
	for p := range s.partitions {
		if !slices.Equal(got.by[p], s.by[p]) {
			t.Errorf("%s: partition %d: got %d pages, the log has %d: %s", who, p, len(got.by[p]), len(s.by[p]), difference(got.by[p], s.by[p]))
		}
	}
}

// difference says where two lists part.
func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			return fmt.Sprintf("at %d it has %v, not %v", i, got[min(i, len(got)):min(i+3, len(got))], want[min(i, len(want)):min(i+3, len(want))])
		}
	}
	return "none"
}
