package business

// askers are goroutines that wait for something to do. A call of business logic
// grows its stack several times, which is most of what a new one costs.
type askers struct {
	work    chan func()
	waiting int // how many were started; owned by the loop
}

// maxAskers are kept. More calls than that are under way at once only where
// business logic is slow, and then a new goroutine costs little beside it.
const maxAskers = maxFresh

func newAskers() *askers { return &askers{work: make(chan func())} }

// do runs f on a goroutine of its own, one that waits if there is one. It is
// called on the loop.
func (a *askers) do(f func()) {
	select {
	case a.work <- f:
		return
	default:
	}
	if a.waiting == maxAskers {
		go f()
		return
	}
	a.waiting++
	go func() {
		f()
		for f := range a.work {
			f()
		}
	}()
}

// end lets those that wait go. It is called once the loop has ended.
func (a *askers) end() { close(a.work) }
