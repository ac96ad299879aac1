package business

import "time"

// askers are goroutines that wait for something to do. A call of business logic
// grows its stack several times, which is most of what a new one costs.
type askers struct{ work chan func() }

func newAskers() *askers { return &askers{make(chan func())} }

// do runs f on a goroutine of its own, one that waits if there is one.
func (a *askers) do(f func()) {
	select {
	case a.work <- f:
	default:
		go a.run(f)
	}
}

func (a *askers) run(f func()) {
	const idle = time.Second
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for {
		f()
		timer.Reset(idle)
		select {
		case f = <-a.work:
		case <-timer.C:
			return
		}
	}
}
