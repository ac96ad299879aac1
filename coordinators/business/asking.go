package business

import "time"

const (
	// maxFresh bounds the calls of business logic that are under way, but for
	// slow ones: more only wait for each other, in memory.
	maxFresh = 256
	// slowAfter is when a call no longer counts: its logic waits for something
	// else than this machine, and many such calls may be under way.
	slowAfter = 20 * time.Millisecond
	// gatherTimes is how many times the usual call a commit waits for commands
	// that are being decided, and gatherShare the part of a usual commit that
	// it waits at most.
	gatherTimes = 3
	gatherShare = 2
)

// asking follows the calls of business logic that are under way: how many may be
// made, and how long a commit should wait for them. A transaction costs the same
// with one command as with many, so committing half of what is about to be
// decided doubles what the other half waits.
type asking struct {
	calls  []*asked      // in the order in which they were made
	fresh  int           // those that are neither answered nor slow
	usual  time.Duration // of a call that is not slow, about
	commit time.Duration // of a transaction, about
	gather time.Time     // until when the next commit waits; zero if it doesn't yet
}

// asked is a call of business logic.
type asked struct {
	at         time.Time
	done, slow bool
}

// may says whether another call may be made now.
func (a *asking) may(now time.Time) bool {
	for len(a.calls) > 0 {
		first := a.calls[0]
		if !first.done && now.Sub(first.at) < slowAfter {
			break
		}
		if !first.done {
			first.slow = true
			a.fresh--
		}
		a.calls = a.calls[1:]
	}
	return a.fresh < maxFresh
}

// ask counts a call.
func (a *asking) ask(now time.Time) *asked {
	call := &asked{at: now}
	a.calls = append(a.calls, call)
	a.fresh++
	return call
}

// answered counts its answer.
func (a *asking) answered(call *asked, now time.Time) {
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

// wait is how long a commit should wait now for commands that are about to be
// decided, 0 not to. Logic that is slow beside a commit is not waited for; but
// where more wait to be asked than may be, the answers come without a pause, and
// each commit takes as many as come while one lasts.
func (a *asking) wait(now time.Time, more bool) time.Duration {
	a.may(now)
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

// committing begins anew.
func (a *asking) committing() { a.gather = time.Time{} }

// committed counts a transaction.
func (a *asking) committed(took time.Duration) { a.commit = about(a.commit, took) }
