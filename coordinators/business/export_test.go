package business

import (
	"context"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// SetLogicTimeout is for a worker that does not run yet.
func (w *Worker) SetLogicTimeout(d time.Duration) { w.logic.timeout = d }

// SetRevokeTimeout is for a worker that does not run yet.
func (w *Worker) SetRevokeTimeout(d time.Duration) { w.revokeTimeout = d }

// SetEraseAtOnce is for a worker that does not run yet.
func (w *Worker) SetEraseAtOnce(n int) { w.limits.eraseAtOnce = n }

// RefuseUnproved has a worker answer refusals without the group's word.
func (w *Worker) RefuseUnproved() {
	w.prover = func(context.Context, []*partitioning.Claim) error { return nil }
}

// BeforeProof has f run before each proof.
func (w *Worker) BeforeProof(f func()) {
	prove := w.prover
	w.prover = func(ctx context.Context, claims []*partitioning.Claim) error {
		f()
		return prove(ctx, claims)
	}
}

// Left says what a worker that has ended, or has nothing to do, still holds, ""
// if nothing. Partitions that it owns are none of it.
func (w *Worker) Left() (left string) {
	look := func() {
		lines, open, early := 0, 0, 0
		for _, p := range w.parts {
			lines += len(p.lines)
			open += p.open
			early += len(p.early) + len(p.backlog) + len(p.cold)
		}
		if n := w.waiting + len(w.decided) + len(w.committing) + len(w.unproved) + len(w.toAsk) + lines + open + early; n != 0 || w.asking.Fresh() != 0 {
			left = fmt.Sprintf("%d waiting, %d decided, %d in commit, %d unproved, %d to ask, %d fresh calls, %d lines, %d open, %d not admitted",
				w.waiting, len(w.decided), len(w.committing), len(w.unproved), len(w.toAsk), w.asking.Fresh(), lines, open, early)
		}
	}
	if w.loop.Do(func() {}) {
		w.loop.Call(look)
	} else {
		look()
	}
	return left
}

// Ready says how many partitions take commands.
func (w *Worker) Ready() (n int) {
	w.loop.Call(func() {
		for _, p := range w.parts {
			if p.ready && !p.closing {
				n++
			}
		}
	})
	return n
}

// Parts says how many partitions there are beside those that take commands.
func (w *Worker) Parts() (n int) {
	w.loop.Call(func() { n = len(w.parts) })
	return n
}

// Waiting says how many commands are not finished.
func (w *Worker) Waiting() (n int) {
	w.loop.Call(func() { n = w.waiting })
	return n
}

// Committing says how many commands are decided or in commit.
func (w *Worker) Decided() (n int) {
	w.loop.Call(func() { n = len(w.decided) + len(w.committing) })
	return n
}

// Polled hands the worker records as if it had polled them.
func (w *Worker) Polled(f []partitioning.Fetched) { w.loop.Call(func() { w.polled(f) }) }

// Block has the loop do nothing until it is let go.
func (w *Worker) Block() (let func()) {
	blocked, free := make(chan struct{}), make(chan struct{})
	w.loop.Do(func() { close(blocked); <-free })
	<-blocked
	return func() { close(free) }
}

// Heard says how many functions wait for the loop.
func (w *Worker) Heard() int {
	return w.loop.Waiting()
}

// Saturate has no more calls of business logic made until it is let go.
func (w *Worker) Saturate() (let func()) {
	var asked []*calls.Asked
	later := time.Now().Add(time.Hour) // so that they don't become slow
	w.loop.Call(func() {
		for range calls.MaxFresh {
			asked = append(asked, w.asking.Ask(later))
		}
	})
	return func() {
		w.loop.Call(func() {
			for _, call := range asked {
				w.asking.Answered(call, later)
			}
		})
	}
}

// ToAsk says how many commands wait for business logic to be asked.
func (w *Worker) ToAsk() (n int) {
	w.loop.Call(func() { n = len(w.toAsk) })
	return n
}

// LoseAll has the worker lose its partitions, as far as it knows.
func (w *Worker) LoseAll() {
	var claims []*partitioning.Claim
	w.loop.Call(func() {
		for _, p := range w.parts {
			claims = append(claims, p.claim)
		}
	})
	w.Lost(claims)
}
