package snapshots

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// looks gathers the looks of all partitions of a process: while some are under way,
// those that come wait, and then go together, in one write and one read. Each still
// is a script of its own, so nothing of a partition comes between its mark and its
// books.
type looks struct {
	script *redis.Script
	args   []any

	mu       sync.Mutex
	waiting  []*looking
	underWay bool
}

// looking is a look that somebody waits for.
type looking struct {
	keys   []string
	asked  time.Time
	answer []any
	err    error
	done   chan struct{}
	left   atomic.Bool // nobody waits for it any more
}

// ask has the looks' script run on the keys, with all others that want it to.
func (s *Shelf) ask(ctx context.Context, of *looks, keys []string) ([]any, error) {
	l := &looking{keys: keys, asked: time.Now(), done: make(chan struct{})}
	of.mu.Lock()
	of.waiting = append(of.waiting, l)
	begin := !of.underWay
	of.underWay = true
	of.mu.Unlock()
	if begin {
		go s.askOn(of)
	}
	select {
	case <-l.done:
		return l.answer, l.err
	case <-ctx.Done():
		l.left.Store(true)
		return nil, ctx.Err()
	}
}

// askOn asks until nobody waits.
func (s *Shelf) askOn(of *looks) {
	for {
		of.mu.Lock()
		all := of.waiting
		of.waiting = nil
		of.underWay = len(all) > 0
		of.mu.Unlock()
		if len(all) == 0 {
			return
		}
		s.askFor(of, all)
	}
}

// askFor gets the answers for those who still wait. Nobody waits longer than
// opTimeout, the time until now included.
func (s *Shelf) askFor(of *looks, all []*looking) {
	all = slices.DeleteFunc(all, func(l *looking) bool { return l.left.Load() })
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), all[0].asked.Add(opTimeout))
	defer cancel()
	s.pipe(ctx, all, of.args, of.script.EvalSha)
	var unknown []*looking
	for _, l := range all {
		if redis.HasErrorPrefix(l.err, "NOSCRIPT") {
			unknown = append(unknown, l)
		}
	}
	s.pipe(ctx, unknown, of.args, of.script.Eval)
	for _, l := range all {
		close(l.done)
	}
}

// pipe writes looks at once, and reads what each came to.
func (s *Shelf) pipe(ctx context.Context, some []*looking, args []any, run func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd) {
	if len(some) == 0 {
		return
	}
	pipe := s.client.Pipeline()
	answers := make([]*redis.Cmd, len(some))
	for i, l := range some {
		answers[i] = run(ctx, pipe, l.keys, args...)
	}
	pipe.Exec(ctx) //nolint:errcheck // each answer has its own error
	for i, l := range some {
		l.answer, l.err = answers[i].Slice()
	}
}
