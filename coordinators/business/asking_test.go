package business

import (
	"testing"
	"time"
)

func TestHowManyMayBeAsked(t *testing.T) {
	var a asking
	now := noon
	var calls []*asked
	for a.may(now) {
		calls = append(calls, a.ask(now))
	}
	if len(calls) != maxFresh {
		t.Fatalf("%d calls may be made at once, want %d", len(calls), maxFresh)
	}
	a.answered(calls[7], now)
	if !a.may(now) {
		t.Error("one was answered, and no other may be made")
	}
	a.ask(now)
	if a.may(now) {
		t.Error("one was answered, and two others may be made")
	}
	if now = now.Add(slowAfter); !a.may(now) || a.fresh != 0 {
		t.Errorf("%d slow calls are in the way of others", a.fresh)
	}
	for _, call := range calls {
		if !call.done {
			a.answered(call, now)
		}
	}
	if a.fresh != 0 {
		t.Errorf("all were answered, and %d count", a.fresh)
	}
}

func TestHowLongACommitWaits(t *testing.T) {
	const usual = 200 * time.Microsecond
	trained := func() *asking {
		a := &asking{}
		a.committed(10 * time.Millisecond)
		for range 100 {
			a.answered(a.ask(noon), noon.Add(usual))
		}
		return a
	}
	a := trained()
	if got := a.wait(noon, false); got != 0 {
		t.Errorf("nothing is being decided, and it waits %v", got)
	}
	a.ask(noon)
	if got := a.wait(noon, false); got <= 0 || got > gatherTimes*usual {
		t.Errorf("it waits %v for what takes %v", got, usual)
	}
	if got := a.wait(noon.Add(time.Second), false); got != 0 {
		t.Errorf("it waits %v more for one that takes longer than usual", got)
	}
	a.committing()
	a.ask(noon.Add(time.Second))
	if got := a.wait(noon.Add(time.Second), false); got <= 0 {
		t.Error("the next commit does not wait")
	}
	slow := &asking{}
	slow.committed(10 * time.Millisecond)
	slow.answered(slow.ask(noon), noon.Add(time.Second))
	slow.ask(noon)
	if got := slow.wait(noon, false); got != 0 {
		t.Errorf("it waits %v for slow logic", got)
	}
	if got := slow.wait(noon, true); got != 10*time.Millisecond {
		t.Errorf("it waits %v where commands stand in line, not as long as a commit takes", got)
	}
}
