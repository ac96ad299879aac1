package business

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/loop"
)

func TestAPauseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{loop: loop.New()}
		go w.loop.Run()
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		var first, second time.Duration
		w.loop.Call(func() {
			w.later(ctx, time.Minute, func() { first = time.Since(begun) })
			w.later(t.Context(), time.Hour, func() { second = time.Since(begun) })
		})
		<-time.After(time.Second)
		cancel()
		w.loop.End()
		<-time.After(2 * time.Hour)
		synctest.Wait()
		if first != time.Second || second != time.Hour {
			t.Errorf("they ended after %v and %v", first, second)
		}
	})
}
