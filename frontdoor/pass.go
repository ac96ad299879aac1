package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// parcel is a command on its way: what is passed on, where to, and what its
// tries so far have taught.
type parcel struct {
	commands *angzarr.CommandBook
	events   *angzarr.EventBook // instead of commands: pages to record
	erase    *angzarr.EraseRequest

	cover       *angzarr.Cover
	id          string
	size        int
	partition   int32
	traceparent string
	answerTo    string // who waits for what it leads to, "" if nobody does

	stale   bool   // who was thought to be the owner is not
	nowhere string // an address at which nobody could be reached
	doubt   bool   // a try may have been applied
	queued  bool   // a copy may stand in the topic
	inside  bool   // it has a place in the door's room
}

// decide hands the parcel to a worker of this process.
func (p *parcel) decide(ctx context.Context, w *business.Worker) (*angzarr.EventBook, error) {
	if p.answerTo != "" {
		ctx = business.AnsweringTo(ctx, p.answerTo)
	}
	switch {
	case p.erase != nil:
		return w.Erase(ctx, p.erase, p.traceparent)
	case p.commands != nil:
		return w.Handle(ctx, p.commands, p.traceparent)
	}
	return w.Record(ctx, p.events, p.traceparent)
}

// pass tries the ways to the owner until there is an answer, or ctx ends.
func (d *Door) pass(ctx context.Context, p *parcel) (*angzarr.EventBook, error) {
	defer d.room.leave(p)
	for n := 0; ; n++ {
		book, err := d.once(ctx, p)
		if err == nil {
			return book, nil
		}
		if errors.Is(err, log.ErrNoTopic) {
			err = d.noTopic(ctx, p.cover.Domain, err)
		}
		last := again{}
		if !errors.As(err, &last) {
			return nil, p.final(err)
		}
		if !last.now {
			wait(ctx, pause(n))
		}
		if ctx.Err() != nil {
			return nil, p.gaveUp(ctx.Err(), last)
		}
	}
}

// noTopic looks for a domain again that was there before.
func (d *Door) noTopic(ctx context.Context, domain string, err error) error {
	d.c.Domains.Forget(domain)
	if _, st := d.c.Domains.Find(ctx, "cover.domain", domain); st != nil {
		return st.Err()
	}
	return again{error: err}
}

// once tries one way. An error that is no [again] is an owner's answer.
func (d *Door) once(ctx context.Context, p *parcel) (*angzarr.EventBook, error) {
	if p.queued {
		return d.c.Topic.send(ctx, p)
	}
	if w := d.c.Workers[p.cover.Domain]; w != nil {
		book, err := p.decide(ctx, w)
		if !errors.Is(err, business.ErrNotOwner) {
			return book, p.heard(err)
		}
	}
	if err := d.room.enter(p); err != nil {
		return nil, err
	}
	if d.c.Peers != nil {
		book, err := d.toPeer(ctx, p)
		if !errors.Is(err, errNoPeer) {
			return book, err
		}
	}
	return d.c.Topic.send(ctx, p)
}

// errNoPeer says that no peer can be handed the parcel: nothing was tried.
var errNoPeer = errors.New("the owner can't be reached directly")

// toPeer hands the parcel to the process that owns its partition.
func (d *Door) toPeer(ctx context.Context, p *parcel) (*angzarr.EventBook, error) {
	domain := p.cover.Domain
	owner, known, err := d.c.Owners.Of(ctx, log.Group(domain), log.CommandsTopic(domain), p.partition, p.stale)
	switch {
	case ctx.Err() != nil:
		return nil, again{error: ctx.Err()}
	case err != nil:
		d.warn.warn("owners "+domain, "it is not known who owns what; commands go through the topic", "domain", domain, "error", err)
		return nil, errNoPeer
	case !known || d.c.Peers.mine(owner):
		// A rebalance is under way: in a moment somebody is the owner.
		p.stale = true
		return nil, again{error: fmt.Errorf("partition %d of %s has no owner yet", p.partition, domain)}
	case owner.Address == "" || owner.Address == p.nowhere || d.c.Peers.lost(owner.Address):
		return nil, errNoPeer
	}
	calling, done := d.whileOwner(ctx, p, owner)
	defer done()
	book, err := d.c.Peers.hand(calling, owner.Address, p)
	if !errors.Is(err, errNoPeer) {
		return book, err
	}
	d.warn.warn("peer "+owner.Address, "a peer can't be reached; what it owns goes through the topic", "peer", owner.Address, "error", err)
	// It may own nothing any more: the group is asked before the topic is.
	p.stale, p.nowhere = true, owner.Address
	return nil, again{error: errors.New(err.Error()), now: true}
}

// askAfter is how long a peer may take to answer before it is asked of the group
// whether it still is the owner, and how often that is asked then.
const askAfter = 250 * time.Millisecond

// whileOwner ends with ctx, or once somebody else owns the partition: a peer that
// hangs would else hold its callers for as long as they wait. Its command may have
// been applied; the next owner knows by its id. done must be called.
func (d *Door) whileOwner(ctx context.Context, p *parcel, owner partitioning.Identity) (calling context.Context, done func()) {
	calling, cancel := context.WithCancel(ctx)
	domain := p.cover.Domain
	var ask func()
	ask = func() {
		if calling.Err() != nil {
			return
		}
		now, known, err := d.c.Owners.Of(calling, log.Group(domain), log.CommandsTopic(domain), p.partition, true)
		if err == nil && known && now.Incarnation != owner.Incarnation {
			cancel()
			return
		}
		time.AfterFunc(askAfter, ask)
	}
	first := time.AfterFunc(askAfter, ask)
	return calling, func() { first.Stop(); cancel() }
}

// pause is how long to wait before another try. An owner is there again within a
// heartbeat of a rebalance, 0.3 s.
func pause(n int) time.Duration {
	return min(200*time.Millisecond, 5*time.Millisecond<<min(n, 10))
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
