package query

import (
	"context"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

// listTimeout bounds a listing that many may wait for.
const listTimeout = 5 * time.Second

// ends asks where domains' partitions end. Who asks while another question is
// under way waits for the next one, which is asked for all who came meanwhile: an
// answer is never older than the question.
type ends struct {
	list func(ctx context.Context, topic string) (map[int32]int64, error)

	mu sync.Mutex
	of map[string]*round // the next one of each domain; nil while one is under way and nobody waits
}

// round is one listing. What it gave is set when done is closed.
type round struct {
	done chan struct{}
	ends map[int32]int64
	err  error
}

func newEnds(admin *log.Admin) *ends {
	return &ends{list: admin.HighWatermarks, of: make(map[string]*round)}
}

// get gives the high watermarks of a domain's events, as they are now.
func (e *ends) get(ctx context.Context, domain string) (map[int32]int64, error) {
	e.mu.Lock()
	r, running := e.of[domain]
	if r == nil {
		r = &round{done: make(chan struct{})}
		e.of[domain] = r
		if !running {
			go e.run(context.WithoutCancel(ctx), domain)
		}
	}
	e.mu.Unlock()
	select {
	case <-r.done:
		return r.ends, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run makes rounds until nobody waits.
func (e *ends) run(ctx context.Context, domain string) {
	for {
		e.mu.Lock()
		r := e.of[domain]
		if r == nil {
			delete(e.of, domain)
			e.mu.Unlock()
			return
		}
		e.of[domain] = nil
		e.mu.Unlock()
		ctx, cancel := context.WithTimeout(ctx, listTimeout)
		r.ends, r.err = e.list(ctx, log.EventsTopic(domain))
		cancel()
		close(r.done)
	}
}

// believed is how long what a topic is is taken to be so.
const believed = 10 * time.Second

// origins remembers what domains' events topics are, which the shelf's mark is
// compared with.
type origins struct {
	admin *log.Admin

	mu    sync.Mutex
	known map[string]origin
}

type origin struct {
	domain log.Domain
	at     time.Time
}

func (o *origins) get(ctx context.Context, domain string) (log.Domain, error) {
	o.mu.Lock()
	found, ok := o.known[domain]
	o.mu.Unlock()
	if ok && time.Since(found.at) < believed {
		return found.domain, nil
	}
	d, err := o.admin.Describe(ctx, domain)
	if err != nil {
		return d, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.known[domain] = origin{d, time.Now()}
	return d, nil
}
