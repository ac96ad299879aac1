package business

import "time"

// gather says how long a commit should wait for commands that business logic is
// about to answer. A transaction costs the same with one command as with many:
// committing half of what is on its way doubles what the other half waits.
//
// Calls that have taken several times longer than usual are not waited for.
type gather struct {
	calls []*asked // in the order in which they were made
	usual time.Duration
	until time.Time
}

// asked is a call of business logic.
type asked struct {
	at   time.Time
	done bool
}

const (
	// gatherMost bounds what a command waits for others.
	gatherMost = 2 * time.Millisecond
	// gatherTimes is how many times the usual a call may take.
	gatherTimes = 3
)

func (g *gather) asked(now time.Time) *asked {
	a := &asked{at: now}
	g.calls = append(g.calls, a)
	return a
}

func (g *gather) answered(a *asked, now time.Time) {
	a.done = true
	took := now.Sub(a.at)
	if g.usual == 0 {
		g.usual = took
	}
	g.usual += (took - g.usual) / 16
}

// wait is how long to wait now, 0 not to.
func (g *gather) wait(now time.Time) time.Duration {
	patience := min(gatherMost, gatherTimes*g.usual)
	for len(g.calls) > 0 && (g.calls[0].done || now.Sub(g.calls[0].at) > patience) {
		g.calls = g.calls[1:]
	}
	if len(g.calls) == 0 {
		g.until = time.Time{}
		return 0
	}
	if g.until.IsZero() {
		g.until = now.Add(patience)
	}
	return max(0, g.until.Sub(now))
}

// committed begins anew.
func (g *gather) committed() { g.until = time.Time{} }
