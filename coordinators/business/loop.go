package business

import "sync"

// loop runs functions one after another on one goroutine. Whoever is not on that
// goroutine hands it a function to touch what the loop owns.
type loop struct {
	mu      sync.Mutex
	waiting []func()
	asides  int // of which the loop has yet to hear
	ended   bool
	wake    chan struct{}
}

func newLoop() *loop { return &loop{wake: make(chan struct{}, 1)} }

// do has f run later; false says that the loop has ended and f never will.
func (l *loop) do(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.hand(f)
	return true
}

// hand is called with mu held.
func (l *loop) hand(f func()) {
	l.waiting = append(l.waiting, f)
	if len(l.waiting) == 1 {
		l.rouse()
	}
}

func (l *loop) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// call has f run and waits for it. It returns at once if the loop has ended.
func (l *loop) call(f func()) {
	done := make(chan struct{})
	if l.do(func() { f(); close(done) }) {
		<-done
	}
}

// aside runs f beside the loop, and then what it gives back on the loop, which
// does not end before. It is called on the loop.
func (l *loop) aside(f func() (then func())) {
	l.asideOn(func(run func()) { go run() }, f)
}

// asideOn is aside on a goroutine that others start.
func (l *loop) asideOn(start func(func()), f func() (then func())) {
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

// run runs what it is handed until end. What was handed before that still runs,
// and what it led to aside.
func (l *loop) run() {
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

// end lets run return once it has run what it was handed.
func (l *loop) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.rouse()
}
