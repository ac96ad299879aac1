package rebuild_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	beside  = angzarr.SteerProjectorRequest_ORDER_REBUILD
	inPlace = angzarr.SteerProjectorRequest_ORDER_REBUILD_IN_PLACE
	cancel  = angzarr.SteerProjectorRequest_ORDER_CANCEL
	pause   = angzarr.SteerProjectorRequest_ORDER_PAUSE
	hold    = angzarr.SteerProjectorRequest_ORDER_PAUSE_REBUILD
	resume  = angzarr.SteerProjectorRequest_ORDER_RESUME
)

// erase writes what the owner of an erased root's partition does, but for its pages'
// tombstones.
func (w *world) erase(root log.Root) {
	w.t.Helper()
	s := log.NewSheet(w.World.Domain.Name)
	s.AddErased(root, &angzarr.Erased{}, partitioning.Of(root, w.World.Domain.Partitions))
	w.Write(s.Records[0])
}

// A projector is made anew while its events go on. Who reads its topic sees each
// root go on, what is no more go, and what was erased stay away.
func TestARebuild(t *testing.T) {
	w := newWorld(t, 2)
	roots := w.Roots(20)
	hidden, erased := w.Root(0), w.Root(1)
	w.Put(hidden, "hidden")
	w.Put(erased, "said")
	w.each(roots, 3)
	w.start()
	w.comes(roots, "1: 3")
	w.erase(erased)
	w.order(beside)
	reactortest.Eventually(t, "version 2 is shown, and its events go on meanwhile", func() bool {
		w.each(roots, 1)
		return w.standing().State.Version == 2
	})
	w.shows(2)
	w.each(roots, 1)
	n := len(logtest.ReadCommitted(t, w.Cluster, log.EventsTopic(w.World.Domain.Name)))
	w.Done(log.ProjectorVersionGroup(w.name, w.World.Domain.Name, 2))
	for _, root := range roots {
		if had := w.service.had(2, root); int(had) != (n-3)/len(roots) {
			t.Errorf("version 2 has had %d events of a root, want %d", had, (n-3)/len(roots))
		}
	}
	said := w.published()
	for _, root := range roots {
		if want := "2: "; !strings.HasPrefix(last(said[root]), want) {
			t.Errorf("the latest projection is %q, want one of version 2", last(said[root]))
		}
	}
	if got := said[hidden]; !slices.Equal(got, []string{"1: 1", "-"}) {
		t.Errorf("of what version 2 leaves out there is %v", got)
	}
	if got := last(said[erased]); got != "-" {
		t.Errorf("of an erased root there is %v", said[erased])
	}
	w.rises()
	if !slices.Equal(w.service.shown, []uint32{2}) {
		t.Errorf("it was told to show %v", w.service.shown)
	}
	topics, err := w.Admin().AllProjections(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, there := topics[log.StagedProjectionsTopic(w.name, 2)]; there {
		t.Error("the topic of the new version is still there")
	}
	groups, err := partitioning.NewRoster(w.Admin().Client()).Groups(t.Context(), log.SteeringGroup(w.name)+".")
	if want := []string{log.ProjectorVersionGroup(w.name, w.World.Domain.Name, 2)}; err != nil || !slices.Equal(groups, want) {
		t.Errorf("the groups are %v (%v), want %v", groups, err, want)
	}
}

// What differs is written, and no more.
func TestARebuildThatChangesNothing(t *testing.T) {
	w := newWorld(t, 1)
	w.start()
	roots := w.Roots(3)
	w.each(roots, 1)
	w.comes(roots, "1: 1")
	w.order(beside)
	w.shows(2)
	w.order(beside)
	w.shows(3)
	for root, all := range w.published() {
		if want := []string{"1: 1", "2: 1", "3: 1"}; !slices.Equal(all, want) {
			t.Errorf("root %s: %v, want %v", root, all, want)
		}
	}
}

// Made anew in its place, a projector is told to forget what it has, and what it
// does not make again is gone in the end.
func TestARebuildInPlace(t *testing.T) {
	for name, plain := range map[string]bool{"with a reset": false, "without a reset": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			w.service.plain = plain
			roots := w.Roots(6)
			hidden := w.Root(0)
			w.Put(hidden, "hidden")
			w.each(roots, 3)
			w.start()
			w.comes(roots, "1: 3")
			w.order(inPlace)
			w.each(roots, 1)
			w.shows(2)
			w.comes(roots, "2: 4")
			if got := last(w.published()[hidden]); got != "-" {
				t.Errorf("of what version 2 leaves out there is %q", got)
			}
			if want := 1; !plain && (len(w.service.resets) < want || w.service.resets[0] != 2) || plain && len(w.service.resets) != 0 {
				t.Errorf("it was reset for versions %v", w.service.resets)
			}
			for _, root := range roots {
				if had := w.service.had(2, root); had != 4 {
					t.Errorf("version 2 has had %d events of a root", had)
				}
			}
		})
	}
}

// A projector that is paused is not called, and a rebuild that is paused goes on
// where it was, also if all processes ended meanwhile.
func TestPauses(t *testing.T) {
	w := newWorld(t, 1)
	roots := w.Roots(4)
	p := w.start()
	w.each(roots, 1)
	w.comes(roots, "1: 1")
	w.order(pause)
	group := log.ProjectorGroup(w.name, w.World.Domain.Name)
	roster := partitioning.NewRoster(w.Admin().Client())
	left := func() bool {
		members, err := roster.Members(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		return len(members) == 0
	}
	reactortest.Eventually(t, "the workers have left", left)
	w.each(roots, 1)
	w.order(beside)
	w.order(resume)
	w.shows(2)
	w.comes(roots, "2: 2")
	w.service.serves("3") // so that it does not finish before
	w.order(beside)
	w.order(hold)
	w.service.serves("")
	p.stop()
	p = w.start()
	w.each(roots, 1)
	w.comes(roots, "2: 3")
	s := w.standing()
	if r := s.State.Rebuild; r == nil || !r.Paused {
		t.Fatalf("the rebuild is %v, want a paused one", r)
	}
	w.order(pause)
	p.stop()
	w.each(roots, 1)
	w.start()
	if s := w.standing(); !s.State.Paused || s.Lag == 0 {
		t.Errorf("it is %v, want it paused and behind", s)
	}
	w.order(resume)
	w.shows(3)
	w.comes(roots, "3: 4")
	w.rises()
}

// A rebuild that is given up leaves nothing, and its number is not used again.
func TestACancelledRebuild(t *testing.T) {
	w := newWorld(t, 1)
	roots := w.Roots(4)
	w.start()
	w.each(roots, 1)
	w.comes(roots, "1: 1")
	w.order(pause) // so that it does not finish
	w.order(beside)
	w.order(cancel)
	w.order(resume)
	w.shows(1)
	w.order(beside)
	w.shows(3)
	w.comes(roots, "3: 1")
}

// Of two who ask at once one is obeyed, and the other is told why not.
func TestTwoAskAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	w.start()
	w.start()
	w.each(w.Roots(1), 1)
	var all sync.WaitGroup
	var obeyed, refused atomic.Int32
	w.order(pause)
	for range 4 {
		all.Go(func() {
			_, err := w.asked.Steer(t.Context(), &angzarr.SteerProjectorRequest{Projector: w.name, Order: beside})
			switch status.Code(err) {
			case codes.OK:
				obeyed.Add(1)
			case codes.FailedPrecondition:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if obeyed.Load() != 1 || refused.Load() != 3 {
		t.Errorf("%d were obeyed and %d refused", obeyed.Load(), refused.Load())
	}
}

// Who does not hear that its version has stopped is taken out of the group, and
// calls nothing when it comes back.
func TestAProcessThatDoesNotHear(t *testing.T) {
	w := newWorld(t, 1)
	roots := w.Roots(4)
	deaf := w.start()
	w.each(roots, 1)
	w.comes(roots, "1: 1")
	deaf.deaf()
	var fenced atomic.Bool
	deaf.wire.On(kmsg.JoinGroup, func(req kmsg.Request) logtest.Fate {
		join := req.(*kmsg.JoinGroupRequest)
		switch {
		case join.Group == log.SteeringGroup(w.name): // it can't steer any more
			return logtest.LosesItself
		case join.Group == log.ProjectorGroup(w.name, w.World.Domain.Name) && join.MemberID == "":
			fenced.Store(true)
		}
		return logtest.Passes
	})
	w.start()
	roster := partitioning.NewRoster(w.Admin().Client())
	members, err := roster.Members(t.Context(), log.SteeringGroup(w.name))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if m.Incarnation == deaf.id.Incarnation {
			if _, err := roster.Evict(t.Context(), m.Group, []partitioning.Membership{m}, "a test"); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.order(beside)
	reactortest.Eventually(t, "version 2 is shown", func() bool { return w.standing().State.Version == 2 })
	// Until it hears that it was taken out it may call, and commit nothing.
	reactortest.Eventually(t, "version 1 joins anew", fenced.Load)
	w.each(roots, 2)
	w.comes(roots, "2: 3")
	w.rises()
	for _, root := range roots {
		if had := w.service.had(1, root); had != 1 {
			t.Errorf("version 1 has had %d events of a root, want 1", had)
		}
	}
}

// An order for a projector that is not there, and one that nobody can answer.
func TestOrdersThatCanNotBeObeyed(t *testing.T) {
	w := newWorld(t, 1)
	p := w.start()
	w.each(w.Roots(1), 1)
	w.Done(log.ProjectorGroup(w.name, w.World.Domain.Name))
	for name, tc := range map[string]struct {
		projector string
		order     angzarr.SteerProjectorRequest_Order
		want      codes.Code
		says      string
	}{
		"another projector":     {"x" + w.name, beside, codes.NotFound, w.name},
		"no order":              {w.name, 0, codes.InvalidArgument, "order"},
		"an order of tomorrow":  {w.name, 99, codes.InvalidArgument, "order"},
		"nothing to cancel":     {w.name, cancel, codes.FailedPrecondition, "not being rebuilt"},
		"no rebuild to be held": {w.name, hold, codes.FailedPrecondition, "not being rebuilt"},
	} {
		_, err := w.asked.Steer(t.Context(), &angzarr.SteerProjectorRequest{Projector: tc.projector, Order: tc.order})
		if status.Code(err) != tc.want || !strings.Contains(status.Convert(err).Message(), tc.says) {
			t.Errorf("%s: %v, want %v that says %q", name, err, tc.want, tc.says)
		}
	}
	p.stop()
	w.asked.SetPatience(0)
	_, err := w.asked.Steer(t.Context(), &angzarr.SteerProjectorRequest{Projector: w.name, Order: beside})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("without anybody: %v", err)
	}
	w.asked.SetPatience(reactortest.Bound)
	w.start()
	w.order(beside) // what was withdrawn is not obeyed
	w.shows(2)
}
