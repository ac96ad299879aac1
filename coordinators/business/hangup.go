package business

import (
	"context"
	"time"
)

// calling is the context of a call of business logic: its caller's, or up to a
// polled command's deadline. hangUp ends it; where there is none, the context
// ends with the partition.
func (w *Worker) calling(c *command, now time.Time) (ctx context.Context, hangUp context.CancelFunc) {
	if c.polled == nil {
		return context.WithTimeout(c.ctx, w.logic.timeout)
	}
	at, bounded := c.ctx.Deadline()
	if !bounded {
		return c.part.shift.Join(c.part.ctx, now, w.logic.timeout), nil
	}
	// A polled command's own context ends nothing by itself; see [deadline].
	if until := now.Add(w.logic.timeout); until.Before(at) {
		at = until
	}
	return context.WithDeadline(context.Background(), at)
}
