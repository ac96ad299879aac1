package loop

import "time"

const (
	// DrainTimeout bounds how long a rebalance waits for what is under way.
	DrainTimeout = 8 * time.Second
	// lastCalls is how long services may still take to answer by then.
	lastCalls = time.Second
)

// Drain waits until done is closed, and says whether it was within the timeout.
// After a second it has the calls ended that are under way.
func Drain(done <-chan struct{}, timeout time.Duration, endCalls func()) bool {
	late := time.NewTimer(timeout)
	defer late.Stop()
	calls := time.NewTimer(lastCalls)
	defer calls.Stop()
	for {
		select {
		case <-done:
			return true
		case <-calls.C:
			endCalls()
		case <-late.C:
			return false
		}
	}
}
