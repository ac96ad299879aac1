package takeover

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/angzarr/angzarr-kafka/log"
)

const (
	// deadline of each call under load, tries in all.
	deadline = 30 * time.Second
	// again is the pause before a call is made again that found nobody.
	again = 2 * time.Millisecond
	// loadCallers share the rate of a paced load.
	loadCallers = 16
)

// call gives a command of a root to one door and then the next, with the same
// id, until ctx ends or they say something else than UNAVAILABLE.
func (d *domain) call(ctx context.Context, root log.Root, first int, doors []*process) error {
	number := d.ledger.next()
	command := d.command(root, number)
	for try := first; ; try++ {
		answer, err := doors[try%len(doors)].door.Handle(ctx, command)
		switch {
		case err == nil && len(answer.GetBooks()) == 1 && len(answer.Books[0].GetPages()) == 1:
			d.ledger.ack(number)
			return nil
		case err == nil:
			return fmt.Errorf("command %d was answered with %d books, not with one event", number, len(answer.GetBooks()))
		case status.Code(err) != codes.Unavailable || ctx.Err() != nil:
			return fmt.Errorf("command %d: %w", number, err)
		}
		if sleep(ctx, again) != nil {
			return fmt.Errorf("command %d: %w", number, err)
		}
	}
}

// load calls until it is stopped.
type load struct {
	d       *domain
	doors   []*process
	stopped context.CancelFunc
	all     sync.WaitGroup
	answers atomic.Int64

	mu  sync.Mutex
	now stretch
}

// stretch is what became of the calls that ended in it.
type stretch struct {
	calls    int
	worst    time.Duration
	failures []error
}

func (s *stretch) add(other stretch) {
	s.calls += other.calls
	s.worst = max(s.worst, other.worst)
	s.failures = append(s.failures, other.failures...)
}

// load begins. Each caller makes its next call when the last one is answered,
// but not before its time has come; a rate of 0 knows no such time.
func (d *domain) load(ctx context.Context, callers, rate int, doors ...*process) *load {
	ctx, stop := context.WithCancel(ctx)
	l := &load{d: d, doors: doors, stopped: stop}
	for caller := range callers {
		l.all.Go(func() {
			pace := time.Duration(0)
			if rate > 0 {
				pace = time.Second * time.Duration(callers) / time.Duration(rate)
			}
			next := time.Now().Add(pace * time.Duration(caller) / time.Duration(callers))
			for sleep(ctx, time.Until(next)) == nil {
				next = time.Now().Add(pace)
				l.one(context.WithoutCancel(ctx), caller) // what is under way is answered
			}
		})
	}
	return l
}

func (l *load) one(ctx context.Context, caller int) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	begun := time.Now()
	err := l.d.call(ctx, l.d.some(), caller, l.doors)
	took := time.Since(begun)
	l.answers.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.calls++
	if err != nil {
		l.now.failures = append(l.now.failures, err)
		return
	}
	l.now.worst = max(l.now.worst, took)
}

// cut ends a stretch, and begins another.
func (l *load) cut() stretch {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.now
	l.now = stretch{}
	return s
}

// more waits until so many more calls have ended.
func (l *load) more(ctx context.Context, calls int64) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for want := l.answers.Load() + calls; l.answers.Load() < want; {
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("wait for calls under load to end: %w", err)
		}
	}
	return nil
}

// stop ends the load when every call has ended.
func (l *load) stop() {
	l.stopped()
	l.all.Wait()
}

// probes are how many aggregates of a partition are asked.
const probes = 3

// probe calls aggregates of each partition, beginning now, and gives how long
// after since all of a partition's have been answered.
func (d *domain) probe(ctx context.Context, since time.Time, partitions []int32, doors ...*process) (times, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answered := make(times, len(partitions)*probes)
	failed := make([]error, len(answered))
	var all sync.WaitGroup
	for i := range answered {
		all.Go(func() {
			failed[i] = d.call(ctx, d.someIn(partitions[i/probes]), i, doors)
			answered[i] = time.Since(since)
		})
	}
	all.Wait()
	var last times
	for i, err := range failed {
		if err != nil {
			return nil, fmt.Errorf("partition %d does not answer again: %w", partitions[i/probes], err)
		}
		if i%probes == probes-1 {
			last = append(last, answered[i+1-probes:i+1].worst())
		}
	}
	return last, nil
}
