package loop

import "sync"

// Loop runs functions one after another on one goroutine. Whoever is not on that
// goroutine hands it a function to touch what the loop owns.
type Loop struct {
	mu      sync.Mutex
	waiting []func()
	asides  int // of which the loop has yet to hear
	ended   bool
	wake    chan struct{}
}

// New makes a loop; Run runs it.
func New() *Loop { return &Loop{wake: make(chan struct{}, 1)} }

// Do has f run later; false says that the loop has ended and f never will.
func (l *Loop) Do(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.hand(f)
	return true
}

// hand is called with mu held.
func (l *Loop) hand(f func()) {
	l.waiting = append(l.waiting, f)
	if len(l.waiting) == 1 {
		l.rouse()
	}
}

func (l *Loop) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Call has f run and waits for it. It returns at once if the loop has ended.
func (l *Loop) Call(f func()) {
	done := make(chan struct{})
	if l.Do(func() { f(); close(done) }) {
		<-done
	}
}

// Aside runs f beside the loop, and then what it gives back on the loop, which
// does not end before. It is called on the loop.
func (l *Loop) Aside(f func() (then func())) {
	l.AsideOn(func(run func()) { go run() }, f)
}

// AsideOn is Aside on a goroutine that others start.
func (l *Loop) AsideOn(start func(func()), f func() (then func())) {
	l.mu.Lock()
	l.asides++
	l.mu.Unlock()
	start(func() {
		then := f()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asides--
		l.hand(then)
	})
}

// Run runs what it is handed until End. What was handed before that still runs,
// and what it led to aside.
func (l *Loop) Run() {
	var batch []func()
	for {
		l.mu.Lock()
		batch, l.waiting = l.waiting, batch[:0]
		ended := l.ended && l.asides == 0
		l.mu.Unlock()
		if len(batch) == 0 {
			if ended {
				return
			}
			<-l.wake
			continue
		}
		for i, f := range batch {
			f()
			batch[i] = nil
		}
	}
}

// Waiting says how many functions wait for the loop.
func (l *Loop) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// End lets Run return once it has run what it was handed.
func (l *Loop) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.rouse()
}
