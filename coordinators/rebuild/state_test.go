package rebuild

import (
	"slices"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

func TestWhichVersionsRun(t *testing.T) {
	rebuild := func(inPlace, paused bool, phase angzarr.ProjectorState_Phase) *State {
		return &State{Version: 1, Latest: 3, Rebuild: &angzarr.ProjectorState_Rebuild{Version: 3, InPlace: inPlace, Paused: paused, Phase: phase}}
	}
	held := rebuild(false, false, angzarr.ProjectorState_PHASE_BUILDING)
	held.Paused = true
	for name, tc := range map[string]struct {
		state *State
		want  []Run
	}{
		"a new one":           {New("p"), []Run{{Version: 1}}},
		"a later one":         {&State{Version: 4, Latest: 7}, []Run{{Version: 4}}},
		"a paused one":        {&State{Version: 4, Latest: 7, Paused: true}, nil},
		"beside, building":    {rebuild(false, false, angzarr.ProjectorState_PHASE_BUILDING), []Run{{Version: 1}, {3, true}}},
		"… held":              {rebuild(false, true, angzarr.ProjectorState_PHASE_BUILDING), []Run{{Version: 1}}},
		"… paused":            {held, nil},
		"… finishing":         {rebuild(false, false, angzarr.ProjectorState_PHASE_FINISHING), []Run{{3, true}}},
		"… switching":         {rebuild(false, false, angzarr.ProjectorState_PHASE_SWITCHING), nil},
		"in place, resetting": {rebuild(true, false, angzarr.ProjectorState_PHASE_RESETTING), nil},
		"… building":          {rebuild(true, false, angzarr.ProjectorState_PHASE_BUILDING), []Run{{Version: 3}}},
		"… held, building":    {rebuild(true, true, angzarr.ProjectorState_PHASE_BUILDING), nil},
		"… switching, too":    {rebuild(true, false, angzarr.ProjectorState_PHASE_SWITCHING), nil},
	} {
		if got := Runs(tc.state); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v run, want %v", name, got, tc.want)
		}
	}
}

func TestOrders(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	s := New("p")
	for _, step := range []struct {
		order angzarr.SteerProjectorRequest_Order
		code  codes.Code
		holds func(*State) bool
	}{
		{angzarr.SteerProjectorRequest_ORDER_CANCEL, codes.FailedPrecondition, nil},
		{angzarr.SteerProjectorRequest_ORDER_PAUSE_REBUILD, codes.FailedPrecondition, nil},
		{angzarr.SteerProjectorRequest_ORDER_UNSPECIFIED, codes.InvalidArgument, nil},
		{angzarr.SteerProjectorRequest_ORDER_REBUILD, codes.OK, func(s *State) bool {
			return s.Version == 1 && s.Latest == 2 && s.Rebuild.Version == 2 && s.Rebuild.Phase == angzarr.ProjectorState_PHASE_BUILDING
		}},
		{angzarr.SteerProjectorRequest_ORDER_REBUILD_IN_PLACE, codes.FailedPrecondition, nil},
		{angzarr.SteerProjectorRequest_ORDER_PAUSE_REBUILD, codes.OK, func(s *State) bool { return s.Rebuild.Paused && !s.Paused }},
		{angzarr.SteerProjectorRequest_ORDER_PAUSE, codes.OK, func(s *State) bool { return s.Rebuild.Paused && s.Paused }},
		{angzarr.SteerProjectorRequest_ORDER_RESUME, codes.OK, func(s *State) bool { return !s.Rebuild.Paused && !s.Paused }},
		{angzarr.SteerProjectorRequest_ORDER_CANCEL, codes.OK, func(s *State) bool {
			return s.Rebuild == nil && s.Version == 1 && slices.Equal(s.Gone, []uint32{2})
		}},
		{angzarr.SteerProjectorRequest_ORDER_REBUILD_IN_PLACE, codes.OK, func(s *State) bool {
			return s.Rebuild.Version == 3 && s.Rebuild.Phase == angzarr.ProjectorState_PHASE_RESETTING
		}},
		{angzarr.SteerProjectorRequest_ORDER_CANCEL, codes.FailedPrecondition, nil},
	} {
		before := proto.CloneOf(s)
		next, st := obey(s, step.order, now)
		if st.Code() != step.code || step.holds != nil && !step.holds(next) || step.holds == nil && !proto.Equal(next, before) {
			t.Fatalf("%v of %v: %v, %v", step.order, before, st, next)
		}
		if !proto.Equal(s, before) {
			t.Fatalf("%v has changed what it was given", step.order)
		}
		s = next
	}
	s = without(done(s), 2)
	if s.Version != 3 || s.Rebuild != nil || !slices.Equal(s.Gone, []uint32{1}) {
		t.Errorf("in the end it is %v", s)
	}
	switching := in(&State{Version: 1, Latest: 2, Rebuild: &angzarr.ProjectorState_Rebuild{Version: 2}}, angzarr.ProjectorState_PHASE_SWITCHING)
	if _, st := obey(switching, angzarr.SteerProjectorRequest_ORDER_CANCEL, now); st.Code() != codes.FailedPrecondition {
		t.Errorf("what takes its place already can be cancelled: %v", st)
	}
}
