package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/angzarr/angzarr-kafka/bench/usage"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func (q *queries) query(i int) angzarr.EventQueryClient {
	return angzarr.NewEventQueryClient(q.conns[i%len(q.conns)])
}

func (q *queries) of(root uuid.UUID) *angzarr.Query {
	return &angzarr.Query{Domain: q.domain.Name, Root: &angzarr.UUID{Value: root[:]}}
}

func (q *queries) measure(ctx context.Context) error {
	for _, step := range []func(context.Context) error{q.oneRoot, q.coveredRoot, q.manyCallers, q.longRoot, q.catchUp, q.allRoots, q.live, q.subscribers} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// get asks for a root's pages, and wants that many.
func (q *queries) get(ctx context.Context, client angzarr.EventQueryClient, root uuid.UUID, pages int) error {
	stream, err := client.GetEvents(ctx, q.of(root))
	if err != nil {
		return err
	}
	for n := uint32(0); ; {
		book, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if int(n) != pages {
				return fmt.Errorf("root %s has %d pages, and %d came", root, pages, n)
			}
			return nil
		}
		if err != nil {
			return err
		}
		for _, p := range book.Pages {
			if n++; p.GetNum() != n {
				return fmt.Errorf("root %s: page %d came where page %d was due", root, p.GetNum(), n)
			}
		}
	}
}

// ask has callers get some of the roots by chance for a while.
func (q *queries) ask(ctx context.Context, callers int, roots []uuid.UUID) ([]time.Duration, error) {
	until := time.Now().Add(q.Duration)
	var mu sync.Mutex
	var all []time.Duration
	group, ctx := errgroup.WithContext(ctx)
	for i := range callers {
		group.Go(func() error {
			var took []time.Duration
			for time.Now().Before(until) {
				begun := time.Now()
				if err := q.get(ctx, q.query(i), roots[rand.IntN(len(roots))], q.Pages); err != nil {
					return err
				}
				took = append(took, time.Since(begun))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			return nil
		})
	}
	return all, group.Wait()
}

func (q *queries) oneRoot(ctx context.Context) error {
	took, err := q.ask(ctx, 1, q.roots[:q.bare()])
	if err != nil {
		return fmt.Errorf("ask for a root: %w", err)
	}
	l := newLatency(took)
	q.add("GetEvents of a root, p50", l.P50, "ms")
	q.add("GetEvents of a root, p99", l.P99, "ms")
	return nil
}

// coveredRoot asks for pages that no open book has: each is read from its place in
// the log.
func (q *queries) coveredRoot(ctx context.Context) error {
	if q.bare() == len(q.roots) {
		return nil
	}
	took, err := q.ask(ctx, 1, q.roots[q.bare():])
	if err != nil {
		return fmt.Errorf("ask for a root with a snapshot: %w", err)
	}
	q.add("GetEvents of a root through the log, p50", newLatency(took).P50, "ms")
	return nil
}

func (q *queries) manyCallers(ctx context.Context) error {
	took, err := q.ask(ctx, q.Callers, q.roots[:q.bare()])
	if err != nil {
		return fmt.Errorf("ask for a root: %w", err)
	}
	q.add(fmt.Sprintf("GetEvents at %d callers", q.Callers), float64(len(took))/q.Duration.Seconds(), "1/s")
	q.add(fmt.Sprintf("GetEvents at %d callers, p50", q.Callers), newLatency(took).P50, "ms")
	return nil
}

func (q *queries) longRoot(ctx context.Context) error {
	before := usage.Of(q.child.command.Process.Pid)
	begun := time.Now()
	if err := q.get(ctx, q.query(0), q.long, q.Long); err != nil {
		return fmt.Errorf("ask for the long root: %w", err)
	}
	q.add(fmt.Sprintf("GetEvents of a root with %d pages", q.Long), float64(q.Long)/time.Since(begun).Seconds(), "pages/s")
	q.memory("GetEvents of a long root, more memory", before)
	return nil
}

// memory tells of the process's memory, and how much more it is than it was.
func (q *queries) memory(name string, before usage.Usage) {
	q.add(name, usage.MiB(usage.Of(q.child.command.Process.Pid).RSS-before.RSS), "MiB")
}

// follow opens a subscription, and gives its books.
func (q *queries) follow(ctx context.Context, i int, query *angzarr.Query) (grpc.BidiStreamingClient[angzarr.Query, angzarr.EventBook], error) {
	stream, err := q.query(i).Synchronize(ctx)
	if err != nil {
		return nil, err
	}
	return stream, stream.Send(query)
}

// counting wants each root's pages in order.
type counting map[string]uint32

func (c counting) take(book *angzarr.EventBook) error {
	for _, p := range book.Pages {
		root := string(book.Cover.Root.Value)
		if c[root]++; p.GetNum() != c[root] {
			return fmt.Errorf("root %x: page %d came where page %d was due", root, p.GetNum(), c[root])
		}
	}
	return nil
}

func (q *queries) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before := usage.Of(q.child.command.Process.Pid)
	begun := time.Now()
	stream, err := q.follow(ctx, 0, &angzarr.Query{Domain: q.domain.Name})
	if err != nil {
		return err
	}
	seen, pages := make(counting, len(q.roots)), 0
	for {
		book, err := stream.Recv()
		if err == nil {
			err = seen.take(book)
		}
		if err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		pages += len(book.Pages)
		if book.CaughtUp {
			break
		}
	}
	took := time.Since(begun)
	if pages < q.total() {
		return fmt.Errorf("subscribe: %d pages came, of %d", pages, q.total())
	}
	q.add("Synchronize, catching up", float64(pages)/took.Seconds(), "pages/s")
	q.memory("Synchronize, catching up, more memory", before)
	return nil
}

func (q *queries) allRoots(ctx context.Context) error {
	before := usage.Of(q.child.command.Process.Pid)
	begun := time.Now()
	stream, err := q.query(0).GetAggregateRoots(metadata.AppendToOutgoingContext(ctx, "angzarr-domain", q.domain.Name), &emptypb.Empty{})
	if err != nil {
		return err
	}
	n := 0
	for {
		_, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("ask for all roots: %w", err)
		}
		n++
	}
	took := time.Since(begun)
	if n < len(q.roots)+1 {
		return fmt.Errorf("ask for all roots: %d roots came, of %d", n, len(q.roots)+1)
	}
	q.add(fmt.Sprintf("GetAggregateRoots of %d", n), took.Seconds(), "s")
	q.memory("GetAggregateRoots, more memory", before)
	return nil
}

// record commits one page, and says when that was acknowledged.
func (q *queries) record(ctx context.Context, root uuid.UUID) (time.Time, error) {
	_, err := angzarr.NewBusinessCoordinatorClient(q.conns[1]).Record(ctx, &angzarr.EventBook{
		Cover: &angzarr.Cover{Domain: q.domain.Name, Root: &angzarr.UUID{Value: root[:]}},
		Pages: []*angzarr.EventPage{{Event: &anypb.Any{TypeUrl: "type.googleapis.com/angzarr.bench.Event", Value: make([]byte, q.Size)}}},
	})
	return time.Now(), err
}

// touchAll writes a page to a root of each partition.
func (q *queries) touchAll(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for left := q.domain.Partitions - 1; left >= 0; {
		root := uuid.New()
		if partitioning.Of(log.Root(root), q.domain.Partitions) == left {
			group.Go(func() error { _, err := q.record(ctx, root); return err })
			left--
		}
	}
	return group.Wait()
}

// live measures from a commit's acknowledgement to its page at a subscriber, which
// may have it earlier: that counts as 0.
func (q *queries) live(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	root := uuid.New()
	stream, err := q.follow(ctx, 0, q.of(root))
	if err != nil {
		return err
	}
	arrived := make(chan time.Time, 1)
	failed := make(chan error, 1)
	go func() {
		for {
			book, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			if len(book.Pages) > 0 {
				arrived <- time.Now()
			}
		}
	}()
	var fromCommit, fromCall []time.Duration
	for range 300 {
		called := time.Now()
		committed, err := q.record(ctx, root)
		if err != nil {
			return err
		}
		select {
		case at := <-arrived:
			fromCommit, fromCall = append(fromCommit, max(0, at.Sub(committed))), append(fromCall, at.Sub(called))
		case err := <-failed:
			return fmt.Errorf("subscribe: %w", err)
		case <-time.After(patience):
			return fmt.Errorf("subscribe: a page did not come within %v", patience)
		}
	}
	l := newLatency(fromCommit)
	q.add("from a commit to a live subscriber, p50", l.P50, "ms")
	q.add("from a commit to a live subscriber, p99", l.P99, "ms")
	q.add("from a call to a live subscriber, p50", newLatency(fromCall).P50, "ms")
	return nil
}

// subscribers measures what those of single roots cost, once all are live.
func (q *queries) subscribers(ctx context.Context) error {
	before := usage.Of(q.child.command.Process.Pid)
	begun := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	streams := make([]grpc.BidiStreamingClient[angzarr.Query, angzarr.EventBook], q.Subscribers)
	open, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	for i := range streams {
		group.Go(func() (err error) {
			if streams[i], err = q.follow(open, i, q.of(q.roots[i])); err != nil {
				return err
			}
			pages := 0
			for {
				book, err := streams[i].Recv()
				if err != nil {
					return fmt.Errorf("subscribe: %w", err)
				}
				pages += len(book.Pages)
				if book.CaughtUp {
					if pages != q.Pages {
						return fmt.Errorf("subscribe: root %s has %d pages, and %d came", q.roots[i], q.Pages, pages)
					}
					return nil
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	q.add(fmt.Sprintf("%d subscribers caught up", q.Subscribers), time.Since(begun).Seconds(), "s")
	// One more page each: then all are at the tail.
	for i := range streams {
		if _, err := q.record(open, q.roots[i]); err != nil {
			return err
		}
	}
	for i, stream := range streams {
		for got := false; !got; {
			book, err := stream.Recv()
			if err != nil {
				return fmt.Errorf("subscribe: %w", err)
			}
			for _, p := range book.Pages {
				if got = true; int(p.GetNum()) != q.Pages+1 {
					return fmt.Errorf("subscribe: root %s: page %d came where page %d was due", q.roots[i], p.GetNum(), q.Pages+1)
				}
			}
		}
	}
	q.memory(fmt.Sprintf("%d subscribers, more memory", q.Subscribers), before)
	return nil
}
