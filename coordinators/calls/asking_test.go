package calls

import (
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestHowManyMayBeAsked(t *testing.T) {
	var a Asking
	now := noon
	var calls []*Asked
	for a.May(now) {
		calls = append(calls, a.Ask(now))
	}
	if len(calls) != MaxFresh {
		t.Fatalf("%d calls may be made at once, want %d", len(calls), MaxFresh)
	}
	a.Answered(calls[7], now)
	if !a.May(now) {
		t.Error("one was answered, and no other may be made")
	}
	a.Ask(now)
	if a.May(now) {
		t.Error("one was answered, and two others may be made")
	}
	if now = now.Add(SlowAfter); !a.May(now) || a.fresh != 0 {
		t.Errorf("%d slow calls are in the way of others", a.fresh)
	}
	for _, call := range calls {
		if !call.done {
			a.Answered(call, now)
		}
	}
	if a.fresh != 0 {
		t.Errorf("all were answered, and %d count", a.fresh)
	}
}

func TestHowLongACommitWaits(t *testing.T) {
	const usual = 200 * time.Microsecond
	trained := func() *Asking {
		a := &Asking{}
		a.Committed(10 * time.Millisecond)
		for range 100 {
			a.Answered(a.Ask(noon), noon.Add(usual))
		}
		return a
	}
	a := trained()
	if got := a.Wait(noon, false); got != 0 {
		t.Errorf("nothing is being decided, and it waits %v", got)
	}
	a.Ask(noon)
	if got := a.Wait(noon, false); got <= 0 || got > gatherTimes*usual {
		t.Errorf("it waits %v for what takes %v", got, usual)
	}
	if got := a.Wait(noon.Add(time.Second), false); got != 0 {
		t.Errorf("it waits %v more for one that takes longer than usual", got)
	}
	a.Committing()
	a.Ask(noon.Add(time.Second))
	if got := a.Wait(noon.Add(time.Second), false); got <= 0 {
		t.Error("the next commit does not wait")
	}
	slow := &Asking{}
	slow.Committed(10 * time.Millisecond)
	slow.Answered(slow.Ask(noon), noon.Add(time.Second))
	slow.Ask(noon)
	if got := slow.Wait(noon, false); got != 0 {
		t.Errorf("it waits %v for slow logic", got)
	}
	if got := slow.Wait(noon, true); got != 10*time.Millisecond {
		t.Errorf("it waits %v where commands stand in line, not as long as a commit takes", got)
	}
}
