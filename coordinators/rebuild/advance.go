package rebuild

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// finishTimeout bounds how long nothing is shown that comes meanwhile: if the rest
// takes longer the old version goes on, and it is tried again.
const finishTimeout = 30 * time.Second

// advance takes a rebuild a step further.
func (s *Steersman) advance(ctx context.Context, state *State) error {
	r := state.Rebuild
	switch r.Phase {
	case angzarr.ProjectorState_PHASE_RESETTING:
		return s.reset(ctx, state)
	case angzarr.ProjectorState_PHASE_BUILDING:
		return s.build(ctx, state)
	case angzarr.ProjectorState_PHASE_FINISHING:
		return s.finish(ctx, state)
	case angzarr.ProjectorState_PHASE_SWITCHING:
		return s.exchange(ctx, state)
	}
	return fmt.Errorf("a rebuild is in phase %d, which this version doesn't know", r.Phase)
}

// reset has the projector forget what it has, once nobody calls it.
func (s *Steersman) reset(ctx context.Context, state *State) error {
	if err := s.fence(ctx, state.Version); err != nil {
		return err
	}
	next := in(state, angzarr.ProjectorState_PHASE_BUILDING)
	known, err := s.tell(ctx, "reset", func(ctx context.Context) error {
		_, err := s.told.Reset(ctx, &angzarr.ResetProjectorRequest{Projector: s.c.Name, Version: state.Rebuild.Version}, grpc.WaitForReady(true))
		return err
	})
	if err != nil {
		return err
	}
	next.Rebuild.NoReset = !known
	if !known {
		s.log.Warn("the projector offers no reset: it is called for all its events again, and has to tell by itself which it has had")
	}
	return s.write(ctx, next)
}

// tell calls a method that a projector may have or not.
func (s *Steersman) tell(ctx context.Context, what string, call func(context.Context) error) (known bool, err error) {
	bounded, cancel := context.WithTimeout(ctx, calls.Timeout)
	defer cancel()
	err = call(bounded)
	if status.Code(err) == codes.Unimplemented {
		return false, nil
	}
	if err != nil {
		err = fmt.Errorf("%s the projector: %w", what, err)
	}
	return true, err
}

// build waits until the new version has nearly caught up.
func (s *Steersman) build(ctx context.Context, state *State) error {
	p, err := s.look(ctx, state)
	if err != nil {
		return err
	}
	now := time.Now()
	s.pace.see(now, p.total-p.left)
	s.report(now, state, p)
	near, err := s.near(ctx, now, state, p)
	if err != nil || !near || now.Before(s.notBefore) {
		return err
	}
	if !state.Rebuild.InPlace {
		return s.write(ctx, in(state, angzarr.ProjectorState_PHASE_FINISHING))
	}
	// The old version has stopped already.
	if done, err := s.caughtUp(ctx, state); err != nil || !done {
		return err
	}
	return s.write(ctx, in(state, angzarr.ProjectorState_PHASE_SWITCHING))
}

// near says whether the new version has no more to do than takes it about a second;
// markers of transactions apart.
func (s *Steersman) near(ctx context.Context, now time.Time, state *State, p progress) (bool, error) {
	if p.left <= 2*p.partitions+int64(s.pace.rate()) {
		return true, nil
	}
	if !s.pace.still(now) {
		return false, nil
	}
	// What is left may be markers, and what was aborted.
	s.targets = nil
	return s.caughtUp(ctx, state)
}

// finish waits until the new version has done all that the old one has.
func (s *Steersman) finish(ctx context.Context, state *State) error {
	if s.finishing.IsZero() {
		s.finishing = time.Now()
	}
	if err := s.fence(ctx, state.Version); err != nil {
		return err
	}
	done, err := s.caughtUp(ctx, state)
	switch {
	case err != nil:
		return err
	case done:
		return s.write(ctx, in(state, angzarr.ProjectorState_PHASE_SWITCHING))
	case time.Since(s.finishing) > finishTimeout:
		s.log.Warn("the new version does not catch up; the old one goes on, and it is tried again")
		s.notBefore = time.Now().Add(finishTimeout)
		return s.write(ctx, in(state, angzarr.ProjectorState_PHASE_BUILDING))
	}
	return nil
}

// targets are offsets of domains' events, by partition.
type targets map[string]map[int32]int64

// caughtUp says whether the new version has done all events that were there when
// it was asked first in this phase.
func (s *Steersman) caughtUp(ctx context.Context, state *State) (bool, error) {
	domains, err := s.domains(ctx, state.Version)
	if err != nil {
		return false, err
	}
	if s.targets == nil {
		found := make(targets)
		for _, domain := range domains {
			if found[domain], err = s.c.Admin.HighWatermarks(ctx, log.EventsTopic(domain)); err != nil {
				return false, err
			}
		}
		s.targets = found
	}
	for domain, ends := range s.targets {
		group := log.ProjectorVersionGroup(s.c.Name, domain, state.Rebuild.Version)
		if done, err := s.finished(ctx, group, domain, ends); err != nil || !done {
			return false, err
		}
	}
	return true, nil
}

// finished says whether a group has finished all of a domain's events before the
// ends. Behind what it has committed there may be markers.
func (s *Steersman) finished(ctx context.Context, group, domain string, ends map[int32]int64) (bool, error) {
	topic := log.EventsTopic(domain)
	committed, err := s.c.Admin.Committed(ctx, group, topic)
	if err != nil {
		return false, err
	}
	left := make(map[int32]log.Span)
	for p, end := range ends {
		if from := max(0, committed[p]); from < end {
			left[p] = log.Span{From: from, To: end}
		}
	}
	done := true
	err = s.c.Cluster.Scan(ctx, topic, left, func(*log.Record) error {
		done = false
		return log.ErrStop
	})
	return done, err
}

// domains are those that the projector gets here, and those that a version of it
// reads anywhere.
func (s *Steersman) domains(ctx context.Context, version uint32) ([]string, error) {
	domains, err := s.c.Domains(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := groupsOf(ctx, s.roster, s.c.Name, version)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(domains)
	for _, group := range groups {
		_, domain, _, _ := log.ProjectorOf(group)
		all = append(all, domain)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// fence takes everybody out of a version's groups. The state that stops it stands
// in the log: who joins them after that reads it first, and calls nothing.
func (s *Steersman) fence(ctx context.Context, version uint32) error {
	if s.fenced {
		return nil
	}
	groups, err := groupsOf(ctx, s.roster, s.c.Name, version)
	if err != nil {
		return err
	}
	for _, group := range groups {
		members, err := s.roster.Members(ctx, group)
		if err != nil {
			return err
		}
		if _, err := s.roster.Evict(ctx, group, members, "its version stops"); err != nil {
			return err
		}
	}
	s.fenced = true
	return nil
}

// bury deletes what is left of versions that are gone.
func (s *Steersman) bury(ctx context.Context, state *State) error {
	version := state.Gone[0]
	domains, err := s.domains(ctx, version)
	if err != nil {
		return err
	}
	for _, domain := range domains {
		if err := s.buryGroup(ctx, state, domain, log.ProjectorVersionGroup(s.c.Name, domain, version)); err != nil {
			return err
		}
	}
	for _, staged := range []uint32{version, state.Version} { // the latter writes to the shown one now
		if err := s.c.Admin.DeleteTopic(ctx, log.StagedProjectionsTopic(s.c.Name, staged)); err != nil {
			return err
		}
	}
	return s.write(ctx, without(state, version))
}

// buryGroup deletes a group, and the dead letters that nobody can replay any more.
func (s *Steersman) buryGroup(ctx context.Context, state *State, domain, group string) error {
	was, known, err := s.c.Admin.Enrolled(ctx, s.c.Cluster, group)
	if err != nil {
		return err
	}
	if known && was.Synchronous {
		// Its successor is waited for from now on, whether or not its workers have
		// said so themselves by now.
		next := log.Reader{Group: log.ProjectorVersionGroup(s.c.Name, domain, state.Version), Synchronous: true}.Enrolled(time.Now())
		if err := s.c.Writer.Write(ctx, &next); err != nil {
			return err
		}
	}
	if known { // before it is deleted: nobody may wait for a group that stays, but is called no more
		gone := log.Disenrolled(group)
		if err := s.c.Writer.Write(ctx, &gone); err != nil {
			return err
		}
	}
	if err := s.c.Admin.DeleteGroup(ctx, group); err != nil {
		return err // somebody may not have left it yet
	}
	ends, err := s.c.Admin.HighWatermarks(ctx, log.DeadLettersTopic(domain))
	if errors.Is(err, log.ErrNoTopic) {
		return nil
	}
	var letters log.Letters
	if err == nil {
		letters, err = s.c.Cluster.ReadLetters(ctx, domain, ends, func(l *log.DeadLetter) bool {
			l.Key, l.Value, l.Headers = nil, nil, nil
			return l.ID.Reader == group && l.Dropped == ""
		})
	}
	for _, l := range letters {
		r := l.Drop(domain, fmt.Sprintf("version %d of the projector is the one that counts", state.Version), time.Now())
		if err == nil {
			err = s.c.Writer.Write(ctx, &r)
		}
	}
	return err
}

// show tells the projector that the new version is the one from now on.
func (s *Steersman) show(ctx context.Context, state *State) error {
	_, err := s.tell(ctx, "show the new version of", func(ctx context.Context) error {
		_, err := s.told.Show(ctx, &angzarr.ShowProjectorRequest{Projector: s.c.Name, Version: state.Rebuild.Version}, grpc.WaitForReady(true))
		return err
	})
	return err
}

// exchange has the new version take the old one's place. Nobody else writes
// projections meanwhile. Broken off, it is done again from its start.
func (s *Steersman) exchange(ctx context.Context, state *State) error {
	r := state.Rebuild
	if err := s.fence(ctx, r.Version); err != nil {
		return err
	}
	if err := s.show(ctx, state); err != nil {
		return err
	}
	begun := time.Now()
	x := exchange{steersman: s, shown: log.ProjectionsTopic(s.c.Name), version: r.Version}
	if !r.InPlace {
		x.staged = log.StagedProjectionsTopic(s.c.Name, r.Version)
	}
	if err := x.run(ctx); err != nil {
		return err
	}
	s.log.Info("a projector was rebuilt", "version", r.Version, "began", r.Begun.AsTime(), "took", time.Since(r.Begun.AsTime()).Round(time.Second),
		"exchanged", x.written, "exchange_took", time.Since(begun))
	s.c.Metrics.none(s.c.Name)
	return s.write(ctx, done(proto.CloneOf(state)))
}
