package business

import "sync"

// loop runs functions one after another on one goroutine. Whoever is not on that
// goroutine hands it a function to touch what the loop owns.
type loop struct {
	mu      sync.Mutex
	waiting []func()
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
	l.waiting = append(l.waiting, f)
	if len(l.waiting) == 1 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// call has f run and waits for it. It returns at once if the loop has ended.
func (l *loop) call(f func()) {
	done := make(chan struct{})
	if l.do(func() { f(); close(done) }) {
		<-done
	}
}

// run runs what it is handed until end. What was handed before that still runs.
func (l *loop) run() {
	var batch []func()
	for {
		l.mu.Lock()
		batch, l.waiting = l.waiting, batch[:0]
		ended := l.ended
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
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
