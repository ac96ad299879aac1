package partitioning

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// staleAfter is how long an answer about owners is believed when it was wrong:
// who asks in between would get the same one.
const staleAfter = 20 * time.Millisecond

// Owners finds out who owns a partition, from the consumer group itself.
type Owners struct {
	client *kgo.Client

	mu     sync.Mutex
	groups map[string]*owners
}

// owners is what is known of one group. Its lock is held while the group is
// asked, so that many who need to know ask once.
type owners struct {
	mu    sync.Mutex
	asked time.Time
	of    map[int32]Identity
}

// NewOwners asks through the client, which stays the caller's.
func NewOwners(client *kgo.Client) *Owners {
	return &Owners{client: client, groups: make(map[string]*owners)}
}

// Of gives the owner of a partition of the group's topic; ok is false if nobody
// owns it, as far as is known. What was learnt is believed until it turns out
// wrong, which fresh says.
func (o *Owners) Of(ctx context.Context, group, topic string, partition int32, fresh bool) (id Identity, ok bool, err error) {
	o.mu.Lock()
	g := o.groups[group]
	if g == nil {
		g = &owners{}
		o.groups[group] = g
	}
	o.mu.Unlock()

	g.mu.Lock()
	defer g.mu.Unlock()
	if age := time.Since(g.asked); g.of == nil && age > staleAfter || fresh && age > staleAfter {
		of, err := o.ask(ctx, group, topic)
		if err != nil {
			return Identity{}, false, err
		}
		g.asked = time.Now()
		if of != nil {
			g.of = of
		}
	}
	id, ok = g.of[partition]
	return id, ok, nil
}

// ask reads the assignments. In a rebalance there are none to believe: nil.
func (o *Owners) ask(ctx context.Context, group, topic string) (map[int32]Identity, error) {
	described, err := kadm.NewClient(o.client).DescribeGroups(ctx, group)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("who owns what in group %s: %w", group, err)
	}
	d := described[group]
	if d.State != "Stable" {
		return nil, nil
	}
	of := make(map[int32]Identity)
	for _, m := range d.Members {
		id, ours := identityOf(m.ClientID)
		assigned, consumer := m.Assigned.AsConsumer()
		if !ours || !consumer {
			continue
		}
		for _, t := range assigned.Topics {
			if t.Topic != topic {
				continue
			}
			for _, p := range t.Partitions {
				of[p] = id
			}
		}
	}
	return of, nil
}
