package partitioning

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// staleAfter is how long an answer about owners is believed when it was
	// wrong: who asks in between would get the same one.
	staleAfter = 20 * time.Millisecond
	// askTimeout bounds a question, whose answer many may wait for.
	askTimeout = 5 * time.Second
)

// Owners finds out who owns a partition, from the consumer group itself.
type Owners struct {
	client *kgo.Client

	mu     sync.Mutex
	groups map[string]*owners
}

// owners is what is known of one group.
type owners struct {
	of     map[int32]Identity // nil until the group was stable once
	err    error              // why the last question has no answer
	asked  time.Time          // when that was
	asking chan struct{}      // closed once the question under way is answered
}

// NewOwners asks through the client, which stays the caller's.
func NewOwners(client *kgo.Client) *Owners {
	return &Owners{client: client, groups: make(map[string]*owners)}
}

// Of gives the owner of a partition of the group's topic; ok is false if nobody
// owns it, as far as is known. What was learnt is believed until it turns out
// wrong, which fresh says; that nobody owns it is not believed for longer than it
// takes to ask again.
func (o *Owners) Of(ctx context.Context, group, topic string, partition int32, fresh bool) (id Identity, ok bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[group]
	if g == nil {
		g = &owners{}
		o.groups[group] = g
	}
	if id, ok = g.of[partition]; ok && !fresh {
		return id, true, nil
	}
	if time.Since(g.asked) > staleAfter {
		answered := o.ask(g, group, topic)
		o.mu.Unlock()
		select {
		case <-answered:
		case <-ctx.Done():
			err = ctx.Err()
		}
		o.mu.Lock()
		if err != nil {
			return Identity{}, false, fmt.Errorf("who owns what in group %s: %w", group, err)
		}
	}
	if g.err != nil {
		return Identity{}, false, g.err
	}
	id, ok = g.of[partition]
	return id, ok, nil
}

// ask starts a question, or joins the one that is under way: many who need to
// know ask once, and who gives up leaves the others their answer. It is called
// with mu held.
func (o *Owners) ask(g *owners, group, topic string) <-chan struct{} {
	if g.asking != nil {
		return g.asking
	}
	answered := make(chan struct{})
	g.asking = answered
	go func() {
		defer close(answered)
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		of, err := o.assignments(ctx, group, topic)
		o.mu.Lock()
		defer o.mu.Unlock()
		g.asking, g.asked, g.err = nil, time.Now(), err
		if of != nil {
			g.of = of
		}
	}()
	return answered
}

// assignments reads who owns what. In a rebalance there is nothing to believe:
// nil. A group without members owns nothing.
func (o *Owners) assignments(ctx context.Context, group, topic string) (map[int32]Identity, error) {
	described, err := kadm.NewClient(o.client).DescribeGroups(ctx, group)
	if err == nil {
		err = described.Error()
	}
	of := make(map[int32]Identity)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return of, nil
	}
	if err != nil {
		return nil, fmt.Errorf("who owns what in group %s: %w", group, err)
	}
	d := described[group]
	switch d.State {
	case "Stable":
	case "Empty", "Dead":
		return of, nil
	default:
		return nil, nil
	}
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
