package rebuild

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
	"google.golang.org/protobuf/proto"
)

// Follower knows what projectors are to do, as the log has it. A process has one.
type Follower struct {
	cluster log.Cluster
	admin   *log.Admin
	log     *slog.Logger
	topicID [16]byte

	mu      sync.Mutex
	states  map[string]*State
	orders  map[string][]*Order // those without an answer, as they came
	read    int64               // all before this offset is known
	changed chan struct{}       // closed with the next change
}

// Follow makes a follower that knows what stands in the log now; Run has it know
// what comes. The topic is made if it is not there.
func Follow(ctx context.Context, cluster log.Cluster, admin *log.Admin, logger *slog.Logger) (*Follower, error) {
	f := &Follower{
		cluster: cluster, admin: admin, log: logger,
		states: make(map[string]*State), orders: make(map[string][]*Order), changed: make(chan struct{}),
	}
	var err error
	if f.topicID, err = admin.EnsureProjectors(ctx); err != nil {
		return nil, err
	}
	end, err := f.end(ctx)
	if err == nil {
		err = cluster.Scan(ctx, log.ProjectorsTopic, map[int32]log.Span{0: {To: end}}, func(r *log.Record) error {
			f.take(r)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read what projectors are to do: %w", err)
	}
	f.read = end
	return f, nil
}

// end is where the topic ends now. It has one partition.
func (f *Follower) end(ctx context.Context) (int64, error) {
	ends, err := f.admin.HighWatermarks(ctx, log.ProjectorsTopic)
	return ends[0], err
}

// Run follows the topic until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		f.mu.Lock()
		from := f.read
		f.mu.Unlock()
		err := f.cluster.Tail(ctx, log.ProjectorsTopic, map[int32]int64{0: from}, func(s log.Stretch) {
			failures = 0
			f.mu.Lock()
			defer f.mu.Unlock()
			for i := range s.Records {
				f.take(&s.Records[i])
			}
			f.read = s.Next
			close(f.changed)
			f.changed = make(chan struct{})
		})
		if ctx.Err() == nil {
			f.log.Warn("what projectors are to do can't be read; trying again", "error", err)
			calls.Wait(ctx, calls.RetryAfter(failures))
		}
	}
}

// take is called with mu held, or before anybody else knows the follower.
func (f *Follower) take(r *log.Record) {
	s, err := log.ReadSteering(r)
	switch {
	case err != nil:
		f.log.Error("a record says something of a projector that can't be read", "error", err)
	case s.State != nil:
		f.states[s.Projector] = s.State
	case s.Order != nil:
		f.orders[s.Projector] = append(f.orders[s.Projector], s.Order)
	case s.ID != "":
		f.orders[s.Projector] = slices.DeleteFunc(f.orders[s.Projector], func(o *Order) bool { return o.Id == s.ID })
	}
}

// State gives a projector's.
func (f *Follower) State(name string) *State {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.states[name]; s != nil {
		return proto.CloneOf(s)
	}
	return New(name)
}

// order gives the first order of a projector that has no answer, nil if there is
// none.
func (f *Follower) order(name string) *Order {
	f.mu.Lock()
	defer f.mu.Unlock()
	if waiting := f.orders[name]; len(waiting) > 0 {
		return waiting[0]
	}
	return nil
}

// Changed is closed with the next record that comes.
func (f *Follower) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// until waits until all before the offset is known.
func (f *Follower) until(ctx context.Context, offset int64) error {
	for {
		f.mu.Lock()
		known, changed := f.read >= offset, f.changed
		f.mu.Unlock()
		if known {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// current waits until all is known that stands in the log now.
func (f *Follower) current(ctx context.Context) error {
	end, err := f.end(ctx)
	if err != nil {
		return err
	}
	return f.until(ctx, end)
}

// Gate waits until it is known what a projector is to do after the call, and says
// whether the version is to be called. It is for a worker that has partitions
// assigned: from then on a fence finds it in its group.
func (f *Follower) Gate(ctx context.Context, name string, run Run) bool {
	for failures := 1; ctx.Err() == nil; failures++ {
		bounded, cancel := context.WithTimeout(ctx, gateTimeout)
		err := f.current(bounded)
		cancel()
		if err == nil {
			return may(f.State(name), run)
		}
		if failures%10 == 1 && ctx.Err() == nil {
			f.log.Warn("it can't be found out whether a projector may be called; trying again", "projector", name, "error", err)
		}
		calls.Wait(ctx, calls.RetryAfter(failures))
	}
	return false
}

// gateTimeout bounds one look.
const gateTimeout = 5 * time.Second
