package calls

import (
	"context"
	"errors"
	"time"
)

// ErrHung is why a call was hung up that took too long.
var ErrHung = errors.New("the service has not answered in time")

// Shift is a context that calls share which begin soon after each other: one of
// its own, with a timer, is a tenth of what a call costs, here and in business
// logic. A call may so take up to an eighth longer than its timeout.
type Shift struct {
	ctx   context.Context
	begun time.Time
}

// Join gives the context of a call that begins now.
func (s *Shift) Join(parent context.Context, now time.Time, timeout time.Duration) context.Context {
	if s.ctx == nil || now.Sub(s.begun) > timeout/8 {
		ctx, cancel := context.WithCancelCause(parent)
		time.AfterFunc(timeout+timeout/8, func() { cancel(ErrHung) })
		*s = Shift{ctx, now}
	}
	return s.ctx
}
