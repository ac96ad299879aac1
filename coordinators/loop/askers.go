package loop

// Askers are goroutines that wait for something to do. A call of a service
// grows its stack several times, which is most of what a new one costs.
type Askers struct {
	work    chan func()
	waiting int // how many were started; owned by the loop
}

// maxAskers are kept. More calls than that are under way at once only where
// the service is slow, and then a new goroutine costs little beside it.
const maxAskers = 256

// NewAskers makes some; End must follow.
func NewAskers() *Askers { return &Askers{work: make(chan func())} }

// Do runs f on a goroutine of its own, one that waits if there is one. It is
// called on the loop.
func (a *Askers) Do(f func()) {
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

// End lets those that wait go. It is called once the loop has ended.
func (a *Askers) End() { close(a.work) }
