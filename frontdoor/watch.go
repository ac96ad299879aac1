package frontdoor

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/partitioning"
)

const (
	// lookEvery is how soon a new member is known. One that dies before it was
	// reached is missed by its group alone.
	lookEvery = 500 * time.Millisecond
	// inheritTimeout bounds how long workers wait for their predecessors' end.
	inheritTimeout = 2 * time.Second
)

// WatchConfig is what a watch needs.
type WatchConfig struct {
	Peers  *Peers
	Roster *partitioning.Roster
	// Groups are those of which this process has workers: at a time, as
	// projectors' versions come and go.
	Groups  func() []string
	Metrics *Metrics
	Logger  *slog.Logger
}

// Watch holds a connection to every process that has members in the groups, and
// evicts those that have died: their partitions move at once.
//
// Silence proves nothing. A process is dead if it was reached and connections to
// its address are refused now, or if another one answers there. Whoever is taken
// for dead and lives joins anew; then the watch is slower to believe itself.
type Watch struct {
	c      WatchConfig
	warn   sometimes
	all    sync.WaitGroup
	events chan func(now time.Time)

	// All below is owned by Run.
	neighbours map[string]*neighbour
	look       time.Time // when to list the members next
}

// NewWatch makes a watch; Run starts it.
func NewWatch(c WatchConfig) *Watch {
	return &Watch{
		c: c, warn: sometimes{log: c.Logger},
		events: make(chan func(time.Time)), neighbours: make(map[string]*neighbour),
	}
}

// Inherit evicts the members that had this process's address before: as it holds
// the listener, they are dead. It is for before its own workers join.
func (w *Watch) Inherit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, inheritTimeout)
	defer cancel()
	var dead []partitioning.Membership
	for _, m := range w.members(ctx) {
		if m.Address == w.c.Peers.address && !w.c.Peers.mine(m.Identity) {
			dead = append(dead, m)
		}
	}
	w.evict(ctx, dead, whyPredecessor)
}

// Run watches until ctx ends. All that it started has ended by then.
func (w *Watch) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer w.all.Wait()
	defer cancel()
	for ctx.Err() == nil {
		next := time.NewTimer(time.Until(w.next()))
		select {
		case <-next.C:
			w.step(ctx)
		case event := <-w.events:
			event(time.Now())
		case <-ctx.Done():
		}
		next.Stop()
		w.count()
	}
	return nil
}

// next is when there is something to do.
func (w *Watch) next() time.Time {
	next := w.look
	for _, n := range w.neighbours {
		if n.due(n.again) && n.again.Before(next) {
			next = n.again
		}
	}
	return next
}

// step lists the members, and only then greets.
func (w *Watch) step(ctx context.Context) {
	listed := make(map[string][]partitioning.Membership)
	for _, m := range w.members(ctx) {
		if m.Address != "" && m.Address != w.c.Peers.address {
			listed[m.Address] = append(listed[m.Address], m)
		}
	}
	now := time.Now()
	w.look = now.Add(lookEvery)
	for address := range listed {
		if w.neighbours[address] == nil {
			w.neighbours[address] = newNeighbour(address)
		}
	}
	for address, n := range w.neighbours {
		w.doubt(n, n.list(now, listed[address]))
		switch {
		case n.forgotten(now):
			n.hangUp()
			delete(w.neighbours, address)
		case n.replaced(now):
			n.hangUp()
		case n.due(now):
			w.greet(ctx, n)
		}
	}
}

func (w *Watch) members(ctx context.Context) []partitioning.Membership {
	all, err := w.c.Roster.Members(ctx, w.c.Groups()...)
	if err != nil && ctx.Err() == nil {
		w.warn.warn("members", "it is not known who is a member; dead peers are not noticed meanwhile", "error", err)
	}
	return all
}

// greet greets a neighbour, and holds the connection that comes of it.
func (w *Watch) greet(ctx context.Context, n *neighbour) {
	n.greeting = true
	holding, hangUp := context.WithCancel(ctx)
	n.hangUp = hangUp
	g := greeting{address: n.address, listed: n.listed}
	w.all.Go(func() {
		defer hangUp()
		var since time.Time // of the connection
		w.c.Peers.greet(holding, g, func(g greeting) {
			if g.answered() {
				since = time.Now()
			}
			w.tell(ctx, func(now time.Time) { w.greeted(ctx, n, g, now) })
		})
		if !since.IsZero() {
			w.tell(ctx, func(now time.Time) { n.brokeOff(now, now.Sub(since)) })
		}
	})
}

// tell has Run take something in.
func (w *Watch) tell(ctx context.Context, event func(time.Time)) {
	select {
	case w.events <- event:
	case <-ctx.Done():
	}
}

// greeted takes in what came of a greeting, and evicts who is dead by it.
func (w *Watch) greeted(ctx context.Context, n *neighbour, g greeting, now time.Time) {
	w.doubt(n, n.greeted(now, g))
	switch {
	case g.answered():
		w.c.Logger.Info("reached a peer", "peer", n.address, "incarnations", g.incarnations)
	case ctx.Err() == nil:
		w.warn.warn("greet "+n.address, "a peer does not answer", "peer", n.address, "refused", g.refused, "error", says(g.err))
	}
	dead, why := n.dead(now, g)
	if len(dead) == 0 {
		return
	}
	n.evicting = true
	w.all.Go(func() {
		gone := w.evict(ctx, dead, why)
		w.tell(ctx, func(time.Time) {
			n.evicting = false
			n.evict(gone)
		})
	})
}

// doubt says that somebody lives who was taken for dead.
func (w *Watch) doubt(n *neighbour, alive []string) {
	for _, incarnation := range alive {
		w.c.Metrics.mistaken()
		w.c.Logger.Warn("a peer that was evicted lives; it is believed for a while now, whatever its address does",
			"peer", n.address, "incarnation", incarnation, "for", time.Until(n.doubt).Round(time.Millisecond))
	}
}

// evict evicts the dead, and gives those who are no members any more.
func (w *Watch) evict(ctx context.Context, dead []partitioning.Membership, why string) (gone []partitioning.Membership) {
	for _, group := range w.c.Groups() {
		of := slices.DeleteFunc(slices.Clone(dead), func(m partitioning.Membership) bool { return m.Group != group })
		evicted, err := w.c.Roster.Evict(ctx, group, of, why)
		for _, m := range evicted {
			w.c.Metrics.evicted(group, why)
			w.c.Logger.Warn("evicted a dead peer from its group", "group", group, "peer", m.Address, "incarnation", m.Incarnation, "why", why)
		}
		if err != nil && ctx.Err() == nil {
			w.c.Logger.Warn("a dead peer could not be evicted; its group will find out", "group", group, "error", err)
		}
		if err == nil {
			gone = append(gone, of...)
		}
	}
	return gone
}

func (w *Watch) count() {
	connected := 0
	for _, n := range w.neighbours {
		if n.connected {
			connected++
		}
	}
	w.c.Metrics.connected(connected)
}
