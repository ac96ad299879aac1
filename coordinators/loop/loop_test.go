package loop

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLoopRunsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		var got []int
		for i := range 10 {
			l.Do(func() { got = append(got, i) })
		}
		go l.Run()
		l.Call(func() { got = append(got, 10) })
		if !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
			t.Errorf("ran %v", got)
		}
		l.End()
		synctest.Wait() // else a goroutine is left, and the test fails
		if l.Do(func() {}) {
			t.Error("it takes something after its end")
		}
		l.Call(func() { t.Error("it ran something after its end") })
	})
}

// The loop ends only when all that it began aside has come back, and what that
// began again.
func TestTheLoopWaitsForWhatItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New()
		var ended, again atomic.Bool
		go func() { l.Run(); ended.Store(true) }()
		l.Call(func() {
			l.Aside(func() func() {
				<-time.After(time.Minute)
				return func() {
					l.Aside(func() func() {
						<-time.After(time.Minute)
						return func() { again.Store(true) }
					})
				}
			})
		})
		l.End()
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

func TestAskers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewAskers()
		const n = 2 * maxAskers
		ran := make(chan int, 2*n)
		for range 2 { // the second time there are some that wait
			for i := range n {
				a.Do(func() { <-time.After(time.Duration(i) * time.Millisecond); ran <- i })
			}
			<-time.After(time.Minute)
		}
		if len(ran) != 2*n {
			t.Errorf("%d of %d ran", len(ran), 2*n)
		}
		a.End()
	}) // goroutines that are left would fail the test
}
