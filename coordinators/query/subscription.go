package query

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// newDomains is how soon who follows everything gets what a new domain has.
const newDomains = time.Second

// subscription is one query on an open stream.
type subscription struct {
	service *Service
	out     *outlet
	query   *angzarr.Query
	root    *log.Root // nil for all roots
	cancel  context.CancelFunc

	// For who holds the outlet:
	where position
	frame frame
}

// includes says whether all that the other one wants is wanted by this.
func (s *subscription) includes(other *angzarr.Query, root *log.Root) bool {
	switch {
	case s.query.Domain == "":
		return true
	case s.query.Domain != other.Domain:
		return false
	}
	return s.root == nil || root != nil && *s.root == *root
}

// checkSubscription says what is wrong with a query, naming the field.
func checkSubscription(q *angzarr.Query) (root *log.Root, where *position, err error) {
	wrong := func(format string, args ...any) (*log.Root, *position, error) {
		return nil, nil, status.Errorf(codes.InvalidArgument, format, args...)
	}
	if value := q.GetRoot().GetValue(); len(value) > 0 {
		of, err := log.RootOf(value)
		if err != nil {
			return wrong("root: %v", err)
		}
		root = &of
	}
	switch {
	case root != nil && q.Domain == "":
		return wrong("domain: is missing: a root belongs to one")
	case root == nil && q.LowerBound > 0:
		return wrong("lowerBound: pages are numbered by root; name one")
	case root == nil && q.UpperBound > 0:
		return wrong("upperBound: pages are numbered by root; name one")
	case q.UpperBound > 0 && q.LowerBound > q.UpperBound:
		return wrong("lowerBound: %d is above upperBound %d", q.LowerBound, q.UpperBound)
	case q.OpenBook:
		return wrong("open_book: is for GetEvents; a subscription gets all pages")
	case q.AsOfSequence > 0:
		return wrong("as_of_sequence: is for GetEvents; what is past does not change")
	case q.AsOfTime != nil:
		return wrong("as_of_time: is for GetEvents; what is past does not change")
	case q.FromEnd && len(q.Position) > 0:
		return wrong("from_end: give it or position, not both")
	case len(q.Position) == 0:
		return root, nil, nil
	}
	if where, err = decodePosition(q.Position); err != nil {
		return wrong("position: %v", err)
	}
	if where.root != nil && (root == nil || *root != *where.root) {
		return wrong("position: is of another query, about root %s", where.root)
	}
	if q.Domain != "" && where.place(q.Domain) == nil {
		return wrong("position: is of another query: it says nothing of domain %q", q.Domain)
	}
	return root, where, nil
}

// start checks what only the brokers know, says from where on the subscription
// goes, and gives what then runs it.
func (s *subscription) start(ctx context.Context, from *position) (run func() error, err error) {
	s.where.root = s.root
	names := []string{s.query.Domain}
	if s.query.Domain == "" {
		if names, err = s.service.domains.All(ctx); err != nil {
			return nil, err
		}
	}
	var starts []started
	for _, name := range names {
		one, err := s.open(ctx, name, from, s.query.FromEnd)
		if err != nil {
			return nil, err
		}
		s.where.places = append(s.where.places, one.feed.place)
		s.where.cluster = one.feed.generation.Cluster
		starts = append(starts, one)
	}
	return func() error {
		if err := s.begun(ctx); err != nil {
			return err
		}
		return s.run(ctx, starts)
	}, nil
}

// started is a feed that is about to run, and where history ends for it.
type started struct {
	feed *feed
	ends map[int32]int64
}

// open makes the feed of one domain.
func (s *subscription) open(ctx context.Context, domain string, from *position, atEnd bool) (started, error) {
	n, st := s.service.domains.Find(ctx, "domain", domain)
	if st != nil {
		return started{}, st.Err()
	}
	var partitions []int32
	if s.root != nil {
		partitions = []int32{partitioning.Of(*s.root, n)}
	} else {
		for p := range n {
			partitions = append(partitions, p)
		}
	}
	f := &feed{service: s.service, sub: s, domain: domain}
	ends, err := f.begin(ctx, partitions, from)
	if err == nil && atEnd {
		ends, err = f.skip(ctx)
	}
	return started{f, ends}, err
}

// run brings all domains' pages until one can't go on.
func (s *subscription) run(ctx context.Context, starts []started) error {
	if s.query.Domain != "" {
		return starts[0].feed.run(ctx, starts[0].ends, func() error { return s.caughtUp(ctx) })
	}
	all, ctx := errgroup.WithContext(ctx)
	e := &everything{sub: s, group: all, known: make(map[string]bool), behind: len(starts)}
	if len(starts) == 0 {
		if err := s.caughtUp(ctx); err != nil {
			return err
		}
	}
	for _, one := range starts {
		e.begin(ctx, one, sync.OnceValue(func() error { return e.oneLess(ctx) }))
	}
	all.Go(func() error { return e.discover(ctx) })
	return all.Wait()
}

// everything runs a feed for each domain: for those that appear later too, and no
// more for those that are deleted.
type everything struct {
	sub   *subscription
	group *errgroup.Group

	mu     sync.Mutex
	known  map[string]bool
	behind int // domains whose history is not delivered yet
}

func (e *everything) begin(ctx context.Context, one started, caughtUp func() error) {
	domain := one.feed.domain
	e.mu.Lock()
	e.known[domain] = true
	e.mu.Unlock()
	e.group.Go(func() error {
		err := one.feed.run(ctx, one.ends, caughtUp)
		if status.Code(err) != codes.NotFound {
			return err
		}
		// It was deleted. If it is made anew it is another one.
		if err := e.sub.drop(ctx, one.feed.place); err != nil {
			return err
		}
		e.mu.Lock()
		delete(e.known, domain)
		e.mu.Unlock()
		return caughtUp()
	})
}

// oneLess says that one more domain's history is delivered.
func (e *everything) oneLess(ctx context.Context) error {
	e.mu.Lock()
	e.behind--
	done := e.behind == 0
	e.mu.Unlock()
	if !done {
		return nil
	}
	return e.sub.caughtUp(ctx)
}

func (e *everything) discover(ctx context.Context) error {
	for {
		pause(ctx, newDomains)
		names, err := e.sub.service.domains.All(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			continue // those that are known go on
		}
		for _, name := range names {
			e.mu.Lock()
			known := e.known[name]
			e.mu.Unlock()
			if known {
				continue
			}
			one, err := e.sub.open(ctx, name, nil, false)
			if err != nil {
				continue // it is looked for again
			}
			if err := e.sub.adopt(ctx, one.feed); err != nil {
				return err
			}
			e.begin(ctx, one, func() error { return nil })
		}
	}
}

// send sends pages of a root, and has the position say so.
func (s *subscription) send(ctx context.Context, f *feed, i int, next int64, epoch int32, root log.Root, pages []byte) error {
	return s.out.do(ctx, func() error {
		f.place.move(i, next, epoch)
		f.told[i] = next
		defer s.frame.sent()
		return s.out.send(s.frame.of(f.domain, root, pages, &s.where))
	})
}

// erased sends the word that a root was erased.
func (s *subscription) erased(ctx context.Context, f *feed, i int, it item, epoch int32) error {
	return s.out.do(ctx, func() error {
		f.place.move(i, it.next, epoch)
		f.told[i] = it.next
		return s.out.send(&angzarr.EventBook{
			Cover:  &angzarr.Cover{Domain: f.domain, Root: &angzarr.UUID{Value: it.root[:]}},
			Erased: it.erased, Position: s.where.encode(),
		})
	})
}

// passed says that there was nothing more for the caller before an offset. It is
// told now and then.
func (s *subscription) passed(ctx context.Context, f *feed, i int, next int64, epoch int32) error {
	if next <= f.place.at[i] {
		return nil
	}
	return s.out.do(ctx, func() error {
		f.place.move(i, next, epoch)
		if next-f.told[i] < stride {
			return nil
		}
		f.told[i] = next
		return s.out.send(&angzarr.EventBook{Cover: s.cover(), Position: s.where.encode()})
	})
}

// caughtUp says that history ends here.
func (s *subscription) caughtUp(ctx context.Context) error {
	return s.out.do(ctx, func() error {
		return s.out.send(&angzarr.EventBook{Cover: s.cover(), Position: s.where.encode(), CaughtUp: true})
	})
}

// begun says where the subscription begins.
func (s *subscription) begun(ctx context.Context) error {
	return s.out.do(ctx, func() error {
		return s.out.send(&angzarr.EventBook{Cover: s.cover(), Position: s.where.encode()})
	})
}

func (s *subscription) adopt(ctx context.Context, f *feed) error {
	return s.out.do(ctx, func() error {
		s.where.cluster = f.generation.Cluster
		s.where.places = append(s.where.places, f.place)
		return nil
	})
}

func (s *subscription) drop(ctx context.Context, gone *place) error {
	return s.out.do(ctx, func() error {
		s.where.places = slices.DeleteFunc(s.where.places, func(p *place) bool { return p == gone })
		return nil
	})
}

func (s *subscription) cover() *angzarr.Cover {
	return &angzarr.Cover{Domain: s.query.Domain, Root: s.query.Root}
}
