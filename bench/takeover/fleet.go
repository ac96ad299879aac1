package takeover

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/angzarr/angzarr-kafka/partitioning"
)

// fleet is the processes of one domain beside each other.
type fleet struct {
	w      *world
	d      *domain
	peers  bool
	all    []*process
	roster *partitioning.Roster
	owners *partitioning.Owners
}

// fleet starts processes, and returns when each owns something.
func (w *world) fleet(ctx context.Context, d *domain, processes int, s setting) (*fleet, error) {
	f := &fleet{w: w, d: d, peers: s.peers, roster: partitioning.NewRoster(w.client), owners: partitioning.NewOwners(w.client)}
	for range processes {
		p, err := w.newProcess(d, s)
		if err == nil {
			f.all = append(f.all, p)
			err = f.start(ctx, p)
		}
		if err != nil {
			f.end()
			return nil, err
		}
	}
	if err := f.settled(ctx); err != nil {
		f.end()
		return nil, err
	}
	return f, nil
}

// start starts a process, and learns who it is.
func (f *fleet) start(ctx context.Context, p *process) error {
	before, err := f.members(ctx)
	if err == nil {
		err = p.start(ctx)
	}
	if err != nil {
		return err
	}
	return f.meet(ctx, p, before)
}

// meet waits until a process is a member, which it was not before. Without peers
// members have no address: then no two may be met at a time.
func (f *fleet) meet(ctx context.Context, p *process, before []partitioning.Membership) error {
	return f.until(ctx, "a process joins its group", func(ctx context.Context) (bool, error) {
		now, err := f.members(ctx)
		for _, m := range now {
			was := func(b partitioning.Membership) bool { return b.Incarnation == m.Incarnation }
			if m.Address == p.peer && !slices.ContainsFunc(before, was) {
				p.incarnation = m.Incarnation
				return true, nil
			}
		}
		return false, err
	})
}

func (f *fleet) members(ctx context.Context) ([]partitioning.Membership, error) {
	return f.roster.Members(ctx, f.d.group())
}

// settled waits until each process owns something, nobody else does, and all know
// each other.
func (f *fleet) settled(ctx context.Context) error {
	err := f.until(ctx, "each process owns something", func(ctx context.Context) (bool, error) {
		owned := make(map[string]int)
		for _, partition := range f.d.all() {
			id, known, err := f.owners.Of(ctx, f.d.group(), f.d.commands(), partition, true)
			if err != nil || !known {
				return false, err
			}
			owned[id.Incarnation]++
		}
		for _, p := range f.all {
			if owned[p.incarnation] == 0 {
				return false, nil
			}
		}
		return len(owned) == len(f.all), nil
	})
	if err != nil || !f.peers {
		return err
	}
	for _, p := range f.all {
		for _, other := range f.all {
			if other == p {
				continue
			}
			if err := p.wait(ctx, other.incarnation); err != nil {
				return err
			}
		}
	}
	return nil
}

// of are the partitions that a process owns.
func (f *fleet) of(ctx context.Context, p *process) (partitions []int32, err error) {
	for _, partition := range f.d.all() {
		id, _, err := f.owners.Of(ctx, f.d.group(), f.d.commands(), partition, false)
		if err != nil {
			return nil, err
		}
		if id.Incarnation == p.incarnation {
			partitions = append(partitions, partition)
		}
	}
	return partitions, nil
}

func (f *fleet) until(ctx context.Context, what string, is func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := is(ctx)
		if ok {
			return nil
		}
		if sleep(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("wait until %s: %w (%v)", what, ctx.Err(), err)
		}
	}
}

// other is a process beside p.
func (f *fleet) other(p *process) *process {
	return f.all[(slices.Index(f.all, p)+1)%len(f.all)]
}

// term stops all, which must end well.
func (f *fleet) term(ctx context.Context) error {
	var all errgroup.Group
	for _, p := range f.all {
		all.Go(func() error { return p.term(ctx) })
	}
	return all.Wait()
}

// end ends all, and is for when nothing is measured any more.
func (f *fleet) end() {
	for _, p := range f.all {
		p.end()
	}
}
