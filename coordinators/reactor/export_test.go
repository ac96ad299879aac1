package reactor

import "time"

// SetTimeout is for a worker that does not run yet.
func (w *Worker) SetTimeout(d time.Duration) { w.timeout = d }

// SetMost bounds the pages of a partition that wait, of a worker that does not run
// yet.
func (w *Worker) SetMost(n int) { w.most = n }

// Waiting says how many pages wait to be reacted to, those under way included.
func (w *Worker) Waiting() (n int) {
	w.loop.Call(func() {
		for _, p := range w.parts {
			for _, l := range p.lines {
				n += len(l.queue)
			}
		}
	})
	return n
}

// Held says whether reading of a partition waits.
func (w *Worker) Held() (held bool) {
	w.loop.Call(func() {
		for _, p := range w.parts {
			held = held || p.paused
		}
	})
	return held
}

// Owned says how many partitions the worker has.
func (w *Worker) Owned() (n int) {
	w.loop.Call(func() { n = len(w.parts) })
	return n
}
