package business

import (
	"context"
	"errors"
	"time"
)

// errHung is why a call of business logic was hung up that took too long.
var errHung = errors.New("business logic has not answered in time")

// calling is the context of a call of business logic: its caller's, or up to a
// polled command's deadline. hangUp ends it; where there is none, the context
// ends with the partition.
func (w *Worker) calling(c *command, now time.Time) (ctx context.Context, hangUp context.CancelFunc) {
	if c.polled == nil {
		return context.WithTimeout(c.ctx, w.logic.timeout)
	}
	at, bounded := c.ctx.Deadline()
	if !bounded {
		return c.part.shift.join(c.part.ctx, now, w.logic.timeout), nil
	}
	// A polled command's own context ends nothing by itself; see [deadline].
	if until := now.Add(w.logic.timeout); until.Before(at) {
		at = until
	}
	return context.WithDeadline(context.Background(), at)
}

// shift is a context that calls share which begin soon after each other: one of
// its own, with a timer, is a tenth of what a call costs, here and in business
// logic. A call may so take up to an eighth longer than its timeout.
type shift struct {
	ctx   context.Context
	begun time.Time
}

// join gives the context of a call that begins now.
func (s *shift) join(parent context.Context, now time.Time, timeout time.Duration) context.Context {
	if s.ctx == nil || now.Sub(s.begun) > timeout/8 {
		ctx, cancel := context.WithCancelCause(parent)
		time.AfterFunc(timeout+timeout/8, func() { cancel(errHung) })
		*s = shift{ctx, now}
	}
	return s.ctx
}
