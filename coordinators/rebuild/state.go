package rebuild

import (
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Short names for what is said in admin.proto.
type (
	State = angzarr.ProjectorState
	Order = angzarr.SteerProjectorRequest
)

// New is the state of a projector of which nothing was ever said.
func New(name string) *State { return &State{Projector: name, Version: 1, Latest: 1} }

// Run is a version of a projector that is to be called.
type Run struct {
	Version uint32
	// Staged says that its projections go to a topic of its own.
	Staged bool
}

// Runs gives the versions that are to be called now.
func Runs(s *State) (runs []Run) {
	if s.Paused {
		return nil
	}
	r := s.Rebuild
	shown := Run{Version: s.Version}
	if r == nil {
		return []Run{shown}
	}
	if !r.InPlace && r.Phase == angzarr.ProjectorState_PHASE_BUILDING {
		runs = append(runs, shown)
	}
	building := r.Phase == angzarr.ProjectorState_PHASE_BUILDING || r.Phase == angzarr.ProjectorState_PHASE_FINISHING
	if building && !r.Paused {
		runs = append(runs, Run{Version: r.Version, Staged: !r.InPlace})
	}
	return runs
}

// may says whether a version is to be called now.
func may(s *State, run Run) bool { return slices.Contains(Runs(s), run) }

// obey gives the state that an order leads to, or says why it can't be obeyed.
func obey(s *State, order angzarr.SteerProjectorRequest_Order, now time.Time) (*State, *status.Status) {
	next := proto.CloneOf(s)
	refuse := func(format string, args ...any) (*State, *status.Status) {
		return s, status.Newf(codes.FailedPrecondition, format, args...)
	}
	switch order {
	case angzarr.SteerProjectorRequest_ORDER_REBUILD, angzarr.SteerProjectorRequest_ORDER_REBUILD_IN_PLACE:
		if r := s.Rebuild; r != nil {
			return refuse("version %d of it is being made already", r.Version)
		}
		next.Latest++
		next.Rebuild = &angzarr.ProjectorState_Rebuild{
			Version: next.Latest, InPlace: order == angzarr.SteerProjectorRequest_ORDER_REBUILD_IN_PLACE,
			Phase: angzarr.ProjectorState_PHASE_BUILDING, Begun: timestamppb.New(now),
		}
		if next.Rebuild.InPlace {
			next.Rebuild.Phase = angzarr.ProjectorState_PHASE_RESETTING
		}
	case angzarr.SteerProjectorRequest_ORDER_CANCEL:
		switch r := s.Rebuild; {
		case r == nil:
			return refuse("it is not being rebuilt")
		case r.InPlace:
			return refuse("it is rebuilt in place: what it had made before is gone, and only the rebuild's end makes it whole")
		case r.Phase == angzarr.ProjectorState_PHASE_SWITCHING:
			return refuse("version %d has caught up, and is taking its place", r.Version)
		}
		next.Gone = append(next.Gone, s.Rebuild.Version)
		next.Rebuild = nil
	case angzarr.SteerProjectorRequest_ORDER_PAUSE:
		next.Paused = true
	case angzarr.SteerProjectorRequest_ORDER_PAUSE_REBUILD:
		switch r := next.Rebuild; {
		case r == nil:
			return refuse("it is not being rebuilt")
		case r.Phase == angzarr.ProjectorState_PHASE_SWITCHING:
			return refuse("version %d has caught up, and is taking its place", r.Version)
		case r.Phase == angzarr.ProjectorState_PHASE_FINISHING:
			r.Phase = angzarr.ProjectorState_PHASE_BUILDING // what is shown goes on
		}
		next.Rebuild.Paused = true
	case angzarr.SteerProjectorRequest_ORDER_RESUME:
		next.Paused = false
		if next.Rebuild != nil {
			next.Rebuild.Paused = false
		}
	default:
		return s, status.Newf(codes.InvalidArgument, "order: %d is none that is known", order)
	}
	return next, nil
}

// in is the state in another phase of the rebuild.
func in(s *State, phase angzarr.ProjectorState_Phase) *State {
	next := proto.CloneOf(s)
	next.Rebuild.Phase = phase
	return next
}

// done is the state after the rebuild.
func done(s *State) *State {
	next := proto.CloneOf(s)
	next.Gone = append(next.Gone, s.Version)
	next.Version, next.Rebuild = s.Rebuild.Version, nil
	return next
}

// without is the state once a version has gone.
func without(s *State, version uint32) *State {
	next := proto.CloneOf(s)
	next.Gone = slices.DeleteFunc(next.Gone, func(v uint32) bool { return v == version })
	return next
}
