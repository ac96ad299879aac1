package calls

import "time"

const (
	// MaxFresh bounds the calls of a service that are under way, but for
	// slow ones: more only wait for each other, in memory.
	MaxFresh = 256
	// SlowAfter is when a call no longer counts: its service waits for something
	// else than this machine, and many such calls may be under way.
	SlowAfter = 20 * time.Millisecond
	// gatherTimes is how many times the usual call a commit waits for commands
	// that are being decided, and gatherShare the part of a usual commit that
	// it waits at most.
	gatherTimes = 3
	gatherShare = 2
)

// Asking follows the calls of a service that are under way: how many may be
// made, and how long a commit should wait for them. A transaction costs the same
// with one command as with many, so committing half of what is about to be
// decided doubles what the other half waits.
type Asking struct {
	calls  []*Asked      // in the order in which they were made
	fresh  int           // those that are neither answered nor slow
	usual  time.Duration // of a call that is not slow, about
	commit time.Duration // of a transaction, about
	gather time.Time     // until when the next commit waits; zero if it doesn't yet
}

// Asked is one call.
type Asked struct {
	at         time.Time
	done, slow bool
}

// May says whether another call may be made now.
func (a *Asking) May(now time.Time) bool {
	for len(a.calls) > 0 {
		first := a.calls[0]
		if !first.done && now.Sub(first.at) < SlowAfter {
			break
		}
		if !first.done {
			first.slow = true
			a.fresh--
		}
		a.calls = a.calls[1:]
	}
	return a.fresh < MaxFresh
}

// Fresh is how many calls count.
func (a *Asking) Fresh() int { return a.fresh }

// Ask counts a call.
func (a *Asking) Ask(now time.Time) *Asked {
	call := &Asked{at: now}
	a.calls = append(a.calls, call)
	a.fresh++
	return call
}

// Answered counts its answer.
func (a *Asking) Answered(call *Asked, now time.Time) {
	call.done = true
	if !call.slow {
		a.fresh--
		a.usual = about(a.usual, now.Sub(call.at))
	}
}

// about follows a duration that varies.
func about(usual, took time.Duration) time.Duration {
	if usual == 0 {
		return took
	}
	return usual + (took-usual)/16
}

// Wait is how long a commit should wait now for commands that are about to be
// decided, 0 not to. Logic that is slow beside a commit is not waited for; but
// where more wait to be asked than may be, the answers come without a pause, and
// each commit takes as many as come while one lasts.
func (a *Asking) Wait(now time.Time, more bool) time.Duration {
	a.May(now)
	most := a.commit / gatherShare
	patience := min(gatherTimes*a.usual, most)
	switch {
	case a.fresh == 0:
		return 0
	case more:
		patience = a.commit
	case a.usual > most:
		return 0
	}
	if a.gather.IsZero() {
		a.gather = now.Add(patience)
	}
	return max(0, a.gather.Sub(now))
}

// Committing begins anew.
func (a *Asking) Committing() { a.gather = time.Time{} }

// Committed counts a transaction.
func (a *Asking) Committed(took time.Duration) { a.commit = about(a.commit, took) }
