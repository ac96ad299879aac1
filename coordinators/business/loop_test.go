package business

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLoopRunsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoop()
		var got []int
		for i := range 10 {
			l.do(func() { got = append(got, i) })
		}
		go l.run()
		l.call(func() { got = append(got, 10) })
		if !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
			t.Errorf("ran %v", got)
		}
		l.end()
		synctest.Wait() // else a goroutine is left, and the test fails
		if l.do(func() {}) {
			t.Error("it takes something after its end")
		}
		l.call(func() { t.Error("it ran something after its end") })
	})
}

// The loop ends only when all that it began aside has come back, and what that
// began again.
func TestTheLoopWaitsForWhatItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoop()
		var ended, again atomic.Bool
		go func() { l.run(); ended.Store(true) }()
		l.call(func() {
			l.aside(func() func() {
				<-time.After(time.Minute)
				return func() {
					l.aside(func() func() {
						<-time.After(time.Minute)
						return func() { again.Store(true) }
					})
				}
			})
		})
		l.end()
		<-time.After(90 * time.Second)
		synctest.Wait()
		if ended.Load() {
			t.Error("it ended before")
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if !ended.Load() || !again.Load() {
			t.Errorf("after all came back: ended %v, heard of it %v", ended.Load(), again.Load())
		}
	})
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{loop: newLoop()}
		go w.loop.run()
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		var first, second time.Duration
		w.loop.call(func() {
			w.later(ctx, time.Minute, func() { first = time.Since(begun) })
			w.later(t.Context(), time.Hour, func() { second = time.Since(begun) })
		})
		<-time.After(time.Second)
		cancel()
		w.loop.end()
		<-time.After(2 * time.Hour)
		synctest.Wait()
		if first != time.Second || second != time.Hour {
			t.Errorf("they ended after %v and %v", first, second)
		}
	})
}

func TestAskers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAskers()
		const n = 2 * maxAskers
		ran := make(chan int, 2*n)
		for range 2 { // the second time there are some that wait
			for i := range n {
				a.do(func() { <-time.After(time.Duration(i) * time.Millisecond); ran <- i })
			}
			<-time.After(time.Minute)
		}
		if len(ran) != 2*n {
			t.Errorf("%d of %d ran", len(ran), 2*n)
		}
		a.end()
	}) // goroutines that are left would fail the test
}
