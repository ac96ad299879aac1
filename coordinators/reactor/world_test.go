package reactor_test

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"google.golang.org/grpc/codes"
)

// service is a service that notes its calls.
type service struct {
	// call is what it does; nothing, if nil.
	call  func(context.Context, reactor.Run) ([]log.Record, *reactor.Failure)
	wants func(*log.Page) bool
	// together is how many pages it takes; 100, if 0.
	together int

	mu    sync.Mutex
	t     testing.TB
	calls []reactor.Run // those that were answered, in that order
	asked map[string]int
	under map[log.Root]int
}

func (s *service) Together() int { return cmp.Or(s.together, 100) }

func (s *service) Wants(p *log.Page) bool { return s.wants == nil || s.wants(p) }

func (s *service) Call(ctx context.Context, run reactor.Run) ([]log.Record, *reactor.Failure) {
	s.mu.Lock()
	if s.asked == nil {
		s.asked, s.under = make(map[string]int), make(map[log.Root]int)
	}
	for _, said := range says(run) {
		s.asked[said]++
	}
	if s.under[run.Root]++; s.under[run.Root] > 1 && s.t != nil {
		s.t.Errorf("root %s is called twice at the same time", run.Root)
	}
	s.mu.Unlock()
	var records []log.Record
	var failure *reactor.Failure
	if s.call != nil {
		records, failure = s.call(ctx, run)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.under[run.Root]--
	if failure == nil {
		s.calls = append(s.calls, run)
	}
	return records, failure
}

// seen gives what was answered of a root, in order.
func (s *service) seen(root log.Root) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, run := range s.calls {
		if run.Root == root {
			all = append(all, says(run)...)
		}
	}
	return all
}

// tries says how often an event was called.
func (s *service) tries(said string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[said]
}

func says(run reactor.Run) (all []string) {
	for i := range run.Pages {
		all = append(all, reactortest.TextOf(run.Pages[i].Proto().Event))
	}
	return all
}

// failing fails on events that say one of these.
func failing(bad ...string) func(context.Context, reactor.Run) ([]log.Record, *reactor.Failure) {
	return func(_ context.Context, run reactor.Run) ([]log.Record, *reactor.Failure) {
		for _, said := range says(run) {
			for _, b := range bad {
				if said == b {
					return nil, reactor.Refuse(codes.Internal, "I can't stand %s", said)
				}
			}
		}
		return nil, nil
	}
}

// put writes n events for each root: "<i>.1", "<i>.2", …, in turn.
func put(w *reactortest.World, roots []log.Root, n int) {
	for j := range n {
		for i, root := range roots {
			w.Put(root, fmt.Sprintf("%d.%d", i, j+1))
		}
	}
}

// inOrder wants each root's events once, in order.
func (s *service) inOrder(t *testing.T, roots []log.Root, n int) {
	t.Helper()
	for i, root := range roots {
		got := s.seen(root)
		for j := range max(n, len(got)) {
			want := fmt.Sprintf("%d.%d", i, j+1)
			if j >= len(got) || j >= n || got[j] != want {
				t.Errorf("root %d was told %v, want %d events in order, each once", i, got, n)
				break
			}
		}
	}
}
