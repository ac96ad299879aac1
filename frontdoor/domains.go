package frontdoor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// relist is how soon the cluster's domains are listed again for one that was
// not among them.
const relist = time.Second

// Domains knows the cluster's domains, by its topics.
type Domains struct {
	list func(context.Context) (map[string]int32, error)

	mu     sync.Mutex
	known  map[string]int32
	listed time.Time
}

// NewDomains lists with the given function: names and numbers of partitions.
func NewDomains(list func(context.Context) (map[string]int32, error)) *Domains {
	return &Domains{list: list}
}

// Partitions gives a domain's number of partitions, 0 if there is no such
// domain, and then the names of those there are.
func (d *Domains) Partitions(ctx context.Context, domain string) (int32, []string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.known[domain]; n > 0 {
		return n, nil, nil
	}
	if time.Since(d.listed) > relist {
		known, err := d.list(ctx)
		if err != nil {
			return 0, nil, err
		}
		d.known, d.listed = known, time.Now()
	}
	return d.known[domain], slices.Collect(maps.Keys(d.known)), nil
}
