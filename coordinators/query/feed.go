package query

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// smallest and largest bound what a subscriber that catches up holds of the
	// log at a time. Those that are slow get little: there may be many.
	smallest = 64 << 10
	largest  = 1 << 20
	// brisk is how soon a subscriber has taken what it then gets twice as much of.
	brisk = 100 * time.Millisecond
)

// feed brings one domain's part of a subscription: what the log has, then what
// comes. It changes between the two as often as it must:
//
//	log up to its end ──► queue at the tail, log up to where the queue begins ──► queue
//	      ▲                                                                        │
//	      └──────────────────── behind, or the tail has ended ─────────────────────┘
type feed struct {
	service    *Service
	sub        *subscription
	domain     string
	generation log.Generation
	place      *place  // its part of the subscription's position
	told       []int64 // up to where the caller knows it
	size       int     // how much of the log is read at a time
}

// run brings pages until ctx ends, or what can't be helped. caughtUp is called
// once, when all is delivered that was committed before.
func (f *feed) run(ctx context.Context, ends map[int32]int64, caughtUp func() error) error {
	caught := false
	for failures := 0; ; failures++ {
		err := f.read(ctx, ends)
		if err == nil && !caught {
			caught = true
			err = caughtUp()
		}
		if err == nil {
			failures = 0
			err = f.follow(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, log.ErrGone):
			return f.gone(ctx)
		case errors.Is(err, errBehind):
			f.service.metrics.behind(f.domain)
		default:
			if _, final := status.FromError(err); final {
				return err
			}
			if lost := f.lost(ctx); lost != nil {
				return lost
			}
			f.service.log.Warn("a subscription's events can't be read, it tries again", "domain", f.domain, "error", err)
			pause(ctx, min(2*time.Second, 50*time.Millisecond<<min(failures, 6)))
		}
		if caught {
			// What is being committed would hold up what is behind it.
			if stable, err := f.service.admin.StableOffsets(ctx, log.EventsTopic(f.domain)); err == nil {
				ends = stable
			}
		}
	}
}

// gone is what a subscriber of a domain hears that was deleted.
func (f *feed) gone(ctx context.Context) error {
	f.service.domains.Forget(f.domain)
	if _, st := f.service.domains.Find(ctx, "domain", f.domain); st != nil {
		return st.Err()
	}
	return status.Errorf(codes.NotFound, "domain: %q was deleted, and made anew", f.domain)
}

// follow brings what is committed from now on, and what was meanwhile.
func (f *feed) follow(ctx context.Context) error {
	who := follower{queue: newQueue(), root: f.sub.root}
	if who.root != nil {
		who.partition = f.place.parts[0]
	}
	tail, from, err := f.service.tails.join(ctx, f.domain, f.generation, who)
	if err != nil {
		return err
	}
	defer f.service.tails.leave(tail, who)
	if err := f.read(ctx, from); err != nil {
		return err
	}
	for {
		pieces, err := who.queue.take(ctx)
		if err != nil {
			return err
		}
		for _, p := range pieces {
			if err := f.deliver(ctx, f.index(p.partition), p); err != nil {
				return err
			}
		}
	}
}

func (f *feed) index(partition int32) int {
	if f.sub.root != nil {
		return 0
	}
	return int(partition)
}

// read brings what the log has before these offsets. It waits for transactions
// that are open before them.
func (f *feed) read(ctx context.Context, to map[int32]int64) error {
	for i, p := range f.place.parts {
		if err := f.shelved(ctx, i, to[p]); err != nil {
			return err
		}
		for waited := 0; f.place.at[i] < to[p]; {
			read, err := f.look(ctx, p, f.place.at[i])
			if err != nil {
				return err
			}
			if read.next == f.place.at[i] {
				pause(ctx, min(50*time.Millisecond, time.Millisecond<<min(waited, 6)))
				waited++
				continue
			}
			waited = 0
			begun := time.Now()
			if err := f.deliver(ctx, i, read); err != nil {
				return err
			}
			if time.Since(begun) < brisk {
				f.size = min(largest, 2*f.size)
			} else {
				f.size = smallest
			}
		}
	}
	return nil
}

// shelved brings what the shelf knows of a root, where much of the log would have to
// be searched.
func (f *feed) shelved(ctx context.Context, i int, to int64) error {
	from := f.place.at[i]
	if f.sub.root == nil || to-from < slowScan {
		return nil
	}
	of := aggregate{f.domain, *f.sub.root, f.place.parts[i]}
	b := bounds{first: max(1, f.sub.query.LowerBound), last: f.sub.query.UpperBound, from: from}
	var some []item
	size, epoch := 0, int32(-1)
	flush := func() error {
		defer func() { some, size = nil, 0 }()
		if len(some) == 0 {
			return nil
		}
		return f.book(ctx, i, some, epoch)
	}
	domain, found, err := f.service.search(ctx, of, to)
	if err != nil || found.Erased { // the log has the word of it
		f.service.metrics.read(f.domain, fromLog)
		return nil
	}
	epochs, err := f.service.admin.Epochs(ctx, log.EventsTopic(f.domain))
	if err != nil {
		return err
	}
	epoch = epochs[of.partition]
	if err := f.follows(ctx, i, epoch); err != nil {
		return err
	}
	err = f.service.shelved(ctx, of, domain, found, b, b.only(func(it item) error {
		if size+it.size > chunk {
			if err := flush(); err != nil {
				return err
			}
		}
		some, size = append(some, it), size+it.size
		return nil
	}))
	if err := flush(); err != nil {
		return err
	}
	switch {
	case err == nil, err == log.ErrStop:
		return f.sub.passed(ctx, f, i, found.Mark, epoch)
	case errors.Is(err, snapshots.ErrNotFound):
		f.service.metrics.read(f.domain, fromLog)
		return nil
	}
	return err
}

// look reads the log at an offset. Only so many do it at the same time, and none
// of them waits for a caller then.
func (f *feed) look(ctx context.Context, partition int32, from int64) (piece, error) {
	select {
	case f.service.readers <- struct{}{}:
	case <-ctx.Done():
		return piece{}, ctx.Err()
	}
	defer func() { <-f.service.readers }()
	s, err := f.service.admin.Fetch(ctx, log.EventsTopic(f.domain), f.generation, partition, from, f.size, wantedOf(f.sub.root))
	if err != nil {
		return piece{}, err
	}
	return piece{partition, itemsOf(s, func(log.Root) bool { return true }), s.Next, s.Epoch}, nil
}

// wantedOf are the keys of what is wanted of a root, or of all.
func wantedOf(root *log.Root) func(key []byte) bool {
	if root == nil {
		return nil
	}
	return func(key []byte) bool {
		of, _, kind := log.ParseKey(key)
		return kind != log.KeyUnknown && of == *root
	}
}

// deliver sends what the subscriber has not got of a piece: pages of one root that
// follow each other in one book, and an erasure in one of its own.
func (f *feed) deliver(ctx context.Context, i int, p piece) error {
	if err := f.follows(ctx, i, p.epoch); err != nil {
		return err
	}
	for items := p.items; len(items) > 0; {
		n, size := 0, 0
		if items[0].erased != nil {
			if err := f.erased(ctx, i, items[0], p.epoch); err != nil {
				return err
			}
			items = items[1:]
			continue
		}
		for n < len(items) && items[n].root == items[0].root && items[n].erased == nil && (n == 0 || size+items[n].size <= chunk) {
			size += items[n].size
			n++
		}
		if err := f.book(ctx, i, items[:n], p.epoch); err != nil {
			return err
		}
		items = items[n:]
	}
	return f.sub.passed(ctx, f, i, p.next, p.epoch)
}

// book sends pages of one root.
func (f *feed) book(ctx context.Context, i int, items []item, epoch int32) error {
	var pages []byte
	next := int64(0) // not behind pages that the bounds leave out: others may resume there
	for _, it := range items {
		q := f.sub.query
		if it.next <= f.place.at[i] || it.sequence < q.LowerBound || q.UpperBound > 0 && it.sequence > q.UpperBound {
			continue
		}
		if it.err != nil {
			return it.err
		}
		if next = it.next; len(items) == 1 {
			pages = it.page
		} else {
			pages = append(pages, it.page...)
		}
	}
	if len(pages) == 0 {
		return nil
	}
	return f.sub.send(ctx, f, i, next, epoch, items[0].root, pages)
}

// erased says that a root was erased, whatever the bounds of its pages are.
func (f *feed) erased(ctx context.Context, i int, it item, epoch int32) error {
	if it.next <= f.place.at[i] {
		return nil
	}
	if it.err != nil {
		return it.err
	}
	return f.sub.erased(ctx, f, i, it, epoch)
}

// begin finds out where a domain's feed begins: at what the caller's position
// says, or at the start. It gives where history ends.
func (f *feed) begin(ctx context.Context, partitions []int32, from *position) (map[int32]int64, error) {
	topic := log.EventsTopic(f.domain)
	generation, err := f.service.admin.Generation(ctx, topic)
	if errors.Is(err, log.ErrGone) {
		return nil, f.gone(ctx)
	}
	if err != nil {
		return nil, err
	}
	ends, err := f.service.admin.HighWatermarks(ctx, topic)
	if err != nil {
		return nil, err
	}
	f.generation, f.size = generation, smallest
	f.place = newPlace(f.domain, generation.ID, partitions)
	f.told = make([]int64, len(partitions))
	if from != nil && from.cluster != generation.Cluster {
		return nil, badPosition("is of another cluster, %s; this one is %s", from.cluster, generation.Cluster)
	}
	if from == nil || from.place(f.domain) == nil {
		return ends, nil
	}
	if from.place(f.domain).id != generation.ID {
		return nil, badPosition("is of a domain %q that was deleted since, and made anew", f.domain)
	}
	for i, p := range partitions {
		at, ok := from.of(f.domain, p)
		switch {
		case !ok:
			return nil, badPosition("is of another query: it says nothing of partition %d of domain %q", p, f.domain)
		case at.Offset > ends[p]:
			return nil, badPosition("is past the end: partition %d of domain %q ends at offset %d, it is at %d", p, f.domain, ends[p], at.Offset)
		}
		f.place.move(i, at.Offset, at.Epoch)
		f.told[i] = at.Offset
	}
	return ends, f.lost(ctx)
}

func badPosition(format string, args ...any) error {
	return status.Error(codes.InvalidArgument, "position: "+fmt.Sprintf(format, args...))
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
