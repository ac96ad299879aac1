package query

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

// checkEvery is how often it is looked whether a domain that is followed is still
// the same one.
const checkEvery = 5 * time.Second

// stride is how many offsets a partition may move on before who waits for one of
// its roots hears of it, so that its position doesn't grow old.
const stride = 1 << 16

// tails are the ends of domains that somebody follows: one for each, however many
// follow it.
type tails struct {
	cluster log.Cluster
	admin   *log.Admin

	mu sync.Mutex
	of map[string]*tail
}

// tail reads a domain's events as they are committed, once for all subscribers of
// this process, as long as there are any.
type tail struct {
	domain     string
	generation log.Generation
	users      int // guarded by tails.mu
	cancel     context.CancelFunc
	done       chan struct{} // closed when it has ended
	started    chan struct{} // closed when at is known, or err

	mu   sync.Mutex
	at   map[int32]int64 // up to where it was handed out
	err  error
	all  map[*queue]bool
	some map[log.Root]map[*queue]int32 // and the root's partition
}

// follower is who a tail hands to: whose pages, all if root is nil.
type follower struct {
	root      *log.Root
	partition int32
	queue     *queue
}

// join has a follower's queue filled, and gives from which offsets on.
func (s *tails) join(ctx context.Context, domain string, of log.Generation, f follower) (*tail, map[int32]int64, error) {
	s.mu.Lock()
	t := s.of[domain]
	if t == nil || t.generation != of {
		running, cancel := context.WithCancel(context.WithoutCancel(ctx))
		t = &tail{domain: domain, generation: of, cancel: cancel, done: make(chan struct{}), started: make(chan struct{}),
			all: make(map[*queue]bool), some: make(map[log.Root]map[*queue]int32)}
		s.of[domain] = t
		go s.run(running, t)
	}
	t.users++
	s.mu.Unlock()
	select {
	case <-t.started:
	case <-ctx.Done():
		s.leave(t, f)
		return nil, nil, ctx.Err()
	}
	at, err := t.add(f)
	if err != nil {
		s.leave(t, f)
		return nil, nil, err
	}
	return t, at, nil
}

// leave ends what join began. The last one waits for the tail's end.
func (s *tails) leave(t *tail, f follower) {
	t.remove(f)
	s.mu.Lock()
	t.users--
	last := t.users == 0
	if last && s.of[t.domain] == t {
		delete(s.of, t.domain)
	}
	s.mu.Unlock()
	if last {
		t.cancel()
		<-t.done
	}
}

// run reads until nobody follows any more, or it can't.
func (s *tails) run(ctx context.Context, t *tail) {
	defer close(t.done)
	err := s.read(ctx, t)
	s.mu.Lock()
	if s.of[t.domain] == t {
		delete(s.of, t.domain)
	}
	s.mu.Unlock()
	t.end(err)
}

func (s *tails) read(ctx context.Context, t *tail) error {
	topic := log.EventsTopic(t.domain)
	at, err := s.admin.StableOffsets(ctx, topic)
	// A domain that is deleted may have no offsets any more: that it is gone says more.
	if gone := s.same(ctx, t); gone != nil && (err == nil || errors.Is(gone, log.ErrGone)) {
		err = gone
	}
	if err != nil {
		return err
	}
	t.at = maps.Clone(at)
	close(t.started)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		for every := time.NewTicker(checkEvery); ; {
			select {
			case <-ctx.Done():
				every.Stop()
				return
			case <-every.C:
				if err := s.same(ctx, t); errors.Is(err, log.ErrGone) {
					cancel(err)
				}
			}
		}
	}()
	if err := s.cluster.Tail(ctx, topic, at, t.take); err != nil && context.Cause(ctx) == nil {
		return err
	}
	return context.Cause(ctx)
}

// same says whether the domain is still the one that it was.
func (s *tails) same(ctx context.Context, t *tail) error {
	found, err := s.admin.Generation(ctx, log.EventsTopic(t.domain))
	if err == nil && found != t.generation {
		err = log.ErrGone
	}
	return err
}

func (t *tail) add(f follower) (map[int32]int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return nil, t.err
	}
	if f.root == nil {
		t.all[f.queue] = true
		return maps.Clone(t.at), nil
	}
	queues := t.some[*f.root]
	if queues == nil {
		queues = make(map[*queue]int32, 1)
		t.some[*f.root] = queues
	}
	queues[f.queue] = f.partition
	return map[int32]int64{f.partition: t.at[f.partition]}, nil
}

func (t *tail) remove(f follower) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, f.queue)
	if f.root != nil {
		if delete(t.some[*f.root], f.queue); len(t.some[*f.root]) == 0 {
			delete(t.some, *f.root)
		}
	}
}

// take hands a stretch to all who follow it. It waits for nobody.
func (t *tail) take(s log.Stretch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	items := itemsOf(s, func(root log.Root) bool { return len(t.all) > 0 || t.some[root] != nil })
	for q := range t.all {
		q.put(piece{s.Partition, items, s.Next, s.Epoch})
	}
	if len(t.some) > 0 {
		t.handRoots(s, items)
	}
	t.at[s.Partition] = s.Next
}

// handRoots is take for those who follow single roots.
func (t *tail) handRoots(s log.Stretch, items []item) {
	byRoot := make(map[log.Root][]item)
	for _, it := range items {
		if t.some[it.root] != nil {
			byRoot[it.root] = append(byRoot[it.root], it)
		}
	}
	for root, its := range byRoot {
		for q := range t.some[root] {
			q.put(piece{s.Partition, its, s.Next, s.Epoch})
		}
	}
	if t.at[s.Partition]/stride == s.Next/stride {
		return
	}
	for root, queues := range t.some {
		for q, partition := range queues {
			if partition == s.Partition && byRoot[root] == nil {
				q.put(piece{s.Partition, nil, s.Next, s.Epoch})
			}
		}
	}
}

func (t *tail) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
	select {
	case <-t.started:
	default:
		close(t.started)
	}
	for q := range t.all {
		q.end(err)
	}
	for _, queues := range t.some {
		for q := range queues {
			q.end(err)
		}
	}
}
