package rebuild

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// SteeringConfig is what a steersman needs.
type SteeringConfig struct {
	Name     string
	Cluster  log.Cluster
	Admin    *log.Admin
	Writer   *log.Writer
	Follower *Follower
	Member   partitioning.Config // its group, topic and logger are filled in
	// Domains gives those whose events the projector gets.
	Domains func(context.Context) ([]string, error)
	// Conn reaches the projector.
	Conn        grpc.ClientConnInterface
	Projections log.Projections
	Metrics     *Metrics
	Logger      *slog.Logger
}

// Steersman decides what is to become of a projector, as long as it is the one of
// all processes' that owns the topic's partition.
type Steersman struct {
	c      SteeringConfig
	log    *slog.Logger
	member *partitioning.Member
	roster *partitioning.Roster
	told   angzarr.ProjectorVersionsClient
	wake   chan struct{}

	mu    sync.Mutex
	claim *partitioning.Claim // nil if another one steers

	// All below is owned by Run.
	under     *partitioning.Claim // under which the rest is known
	fenced    bool                // who the phase stops has been stopped
	targets   targets             // up to where the new version has to come, once the old one has stopped
	finishing time.Time           // since when it is tried
	notBefore time.Time           // when it is tried again
	buryAt    time.Time           // when old versions are tried to be deleted again
	buries    int                 // how often that was in vain
	pace      pace
}

// NewSteersman makes one; Run has it steer.
func NewSteersman(c SteeringConfig) *Steersman {
	s := &Steersman{
		c: c, log: c.Logger.With("projector", c.Name), roster: partitioning.NewRoster(c.Admin.Client()),
		told: angzarr.NewProjectorVersionsClient(c.Conn), wake: make(chan struct{}, 1),
	}
	m := c.Member
	m.Cluster, m.Logger, m.Group, m.Topic = c.Cluster, s.log, log.SteeringGroup(c.Name), log.ProjectorsTopic
	m.TopicID = c.Follower.topicID
	m.MissingOffsets = partitioning.SkipMissing // all is read from the start anyway
	m.MaxBatchBytes = func(topic string) int32 {
		if topic == log.ProjectionsTopic(c.Name) {
			return c.Projections.MaxBytes
		}
		return 0
	}
	s.member = partitioning.NewMember(m, s)
	return s
}

// Assigned is called by the member.
func (s *Steersman) Assigned(claims []*partitioning.Claim) { s.hold(claims[0]) }

// Revoked is called by the member. A commit that is under way is judged by itself.
func (s *Steersman) Revoked([]*partitioning.Claim) { s.hold(nil) }

// Lost is called by the member.
func (s *Steersman) Lost([]*partitioning.Claim) { s.hold(nil) }

func (s *Steersman) hold(claim *partitioning.Claim) {
	s.mu.Lock()
	s.claim = claim
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Steersman) held() *partitioning.Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claim
}

const (
	// lookEvery is how soon it is seen how far a rebuild is.
	lookEvery = 500 * time.Millisecond
	// buryAgain is how soon it is tried again to delete what is left of a version.
	buryAgain = 300 * time.Millisecond
	// leaveTimeout bounds how long the group may take to let the member go.
	leaveTimeout = 3 * time.Second
)

// Run steers until ctx ends. It returns an error if it can't go on.
func (s *Steersman) Run(ctx context.Context) error {
	if err := s.member.Join(); err != nil {
		return err
	}
	defer func() {
		leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
		defer cancel()
		s.member.Leave(leaving)
	}()
	for failures := 0; ; {
		changed := s.c.Follower.Changed()
		pause := lookEvery
		if err := s.step(ctx); err != nil && ctx.Err() == nil {
			failures++
			pause = calls.RetryAfter(failures)
			changed = nil
			s.under = nil // what was written may not have been read back
			s.log.Warn("a projector can't be steered; trying again", "failures", failures, "error", err)
		} else {
			failures = 0
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil
		case err := <-s.member.Failed():
			return err
		case <-s.wake:
		case <-changed:
		case <-again.C:
		}
		again.Stop()
	}
}

// step does what there is to do.
func (s *Steersman) step(ctx context.Context) error {
	claim := s.held()
	if claim == nil {
		return nil
	}
	if claim != s.under {
		// Whoever owned it before has written nothing past the end that is now.
		if err := s.bounded(ctx, s.c.Follower.current); err != nil {
			return err
		}
		s.under = claim
		s.entered()
	}
	for order := s.c.Follower.order(s.c.Name); order != nil; order = s.c.Follower.order(s.c.Name) {
		if err := s.answer(ctx, order); err != nil {
			return err
		}
	}
	state := s.c.Follower.State(s.c.Name)
	if len(state.Gone) > 0 && time.Now().After(s.buryAt) {
		if err := s.bury(ctx, state); err != nil {
			// Somebody may not have left the groups yet, which holds up nothing.
			s.buryAt = time.Now().Add(buryAgain)
			level := slog.LevelDebug
			if s.buries++; s.buries%100 == 0 {
				level = slog.LevelWarn
			}
			s.log.Log(ctx, level, "what is left of an old version can't be deleted yet; trying again", "version", state.Gone[0], "tries", s.buries, "error", err)
		}
		state = s.c.Follower.State(s.c.Name)
	}
	if r := state.Rebuild; r == nil || (state.Paused || r.Paused) && r.Phase != angzarr.ProjectorState_PHASE_SWITCHING {
		s.pace = pace{}
		return nil
	}
	return s.advance(ctx, state)
}

// entered forgets what was known of the last phase.
func (s *Steersman) entered() {
	s.fenced, s.targets, s.finishing = false, nil, time.Time{}
}

// orderTimeout is how long an order waits for who can answer it; who gave it has
// left long since.
const orderTimeout = time.Minute

// answer obeys an order, or says why not.
func (s *Steersman) answer(ctx context.Context, o *Order) error {
	state, now := s.c.Follower.State(s.c.Name), time.Now()
	next, st := obey(state, o.Order, now)
	if now.Sub(o.Asked.AsTime()) > orderTimeout {
		next, st = state, status.New(codes.DeadlineExceeded, "nobody steered the projector")
	}
	records := []log.Record{
		log.ProjectorAnswer(o, &angzarr.SteerProjectorResponse{State: next, Code: int32(st.Code()), Message: st.Message()}),
	}
	if st == nil {
		records = append(records, log.ProjectorState(next))
		s.log.Info("a projector was given an order", "order", o.Order, "version", next.Version, "rebuild", next.Rebuild)
	}
	return s.commit(ctx, records)
}

// write writes a state, and waits until it is known here.
func (s *Steersman) write(ctx context.Context, next *State) error {
	return s.commit(ctx, []log.Record{log.ProjectorState(next)})
}

// commit commits records that say something of the projector, and waits until they
// are known here.
func (s *Steersman) commit(ctx context.Context, records []log.Record) error {
	if err := s.put(ctx, records); err != nil {
		return err
	}
	s.entered()
	return s.bounded(ctx, func(ctx context.Context) error {
		return s.c.Follower.until(ctx, records[len(records)-1].Offset+1)
	})
}

// put commits records of any kind.
func (s *Steersman) put(ctx context.Context, records []log.Record) error {
	return s.member.Commit(ctx, partitioning.Transaction{Records: records, Offsets: []partitioning.Offset{s.under.Offset()}})
}

// boundedTime is how long the log may take to be read up to what stands in it.
const boundedTime = 10 * time.Second

func (s *Steersman) bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, boundedTime)
	defer cancel()
	err := f(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("what was written can't be read: a transaction may be open before it")
	}
	return err
}
