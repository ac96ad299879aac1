package frontdoor

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// relist is how soon the cluster's domains are listed again for one that
	// was not among them.
	relist = time.Second
	// believed is how long a domain is taken to be there without another look.
	believed = 10 * time.Second
	// listTimeout bounds a listing, which many may wait for.
	listTimeout = 5 * time.Second
)

// Domains knows the cluster's domains, by its topics.
type Domains struct {
	list func(context.Context) (map[string]int32, error)

	mu      sync.Mutex
	known   map[string]int32
	listed  time.Time
	listing *listing // nil if none is under way
}

// listing is one that is under way. err is set when done is closed.
type listing struct {
	done chan struct{}
	err  error
}

// NewDomains lists with the given function: names and numbers of partitions.
func NewDomains(list func(context.Context) (map[string]int32, error)) *Domains {
	return &Domains{list: list}
}

// Partitions gives a domain's number of partitions, 0 if there is no such
// domain, and then the names of those there are. A domain that was made a second
// ago is found; one that was deleted is believed for 10 s at most, or until
// Forget.
func (d *Domains) Partitions(ctx context.Context, domain string) (int32, []string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	age := time.Since(d.listed)
	if n := d.known[domain]; n > 0 {
		if age > believed {
			d.look() // and answer meanwhile
		}
		return n, nil, nil
	}
	if age > relist {
		l := d.look()
		d.mu.Unlock()
		err := l.wait(ctx)
		d.mu.Lock()
		if err != nil {
			return 0, nil, err
		}
	}
	return d.known[domain], slices.Sorted(maps.Keys(d.known)), nil
}

// All gives the names of all domains, in order.
func (d *Domains) All(ctx context.Context) ([]string, error) {
	_, names, err := d.Partitions(ctx, "") // which none has, so that they are listed
	return names, err
}

// Forget has a domain looked for again, because its topic is not there.
func (d *Domains) Forget(domain string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known[domain] > 0 {
		d.known = maps.Clone(d.known)
		delete(d.known, domain)
		d.listed = time.Time{}
	}
}

// look starts a listing, or joins the one that is under way. It is called with
// mu held, and goes on without it: a slow cluster holds up who needs to know,
// and nobody else.
func (d *Domains) look() *listing {
	if d.listing != nil {
		return d.listing
	}
	l := &listing{done: make(chan struct{})}
	d.listing = l
	go func() {
		defer close(l.done)
		ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
		defer cancel()
		known, err := d.list(ctx)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.listing = nil
		if l.err = err; err == nil {
			d.known, d.listed = known, time.Now()
		}
	}()
	return l
}

func (l *listing) wait(ctx context.Context) error {
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Find gives a domain's number of partitions, or a status that names the field
// and the domains there are.
func (d *Domains) Find(ctx context.Context, field, domain string) (int32, *status.Status) {
	n, known, err := d.Partitions(ctx, domain)
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, status.FromContextError(ctx.Err())
	case err != nil:
		return 0, status.Newf(codes.Unavailable, "the cluster's domains can't be listed: %v", err)
	case n == 0:
		return 0, noDomain(field, domain, known)
	}
	return n, nil
}

// mostNamed bounds how much a status says: it travels in a header.
const mostNamed = 30

// noDomain says that there is no such domain, and which there are.
func noDomain(field, domain string, known []string) *status.Status {
	if len(domain) > 100 {
		domain = strings.ToValidUTF8(domain[:100], "") + "…"
	}
	there := "none on this cluster yet"
	if len(known) > mostNamed {
		known = append(slices.Clone(known[:mostNamed]), "…")
	}
	if len(known) > 0 {
		there = strings.Join(known, ", ")
	}
	return status.Newf(codes.NotFound, "%s: there is no domain %q; there are: %s", field, domain, there)
}
