package reactor

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// lookAgain is how soon HandleSync is tried again on a service that had only
// Handle: a newer one may serve there now.
const lookAgain = 30 * time.Second

// Methods calls a service that has HandleSync, or else Handle.
type Methods struct{ plainUntil atomic.Int64 }

// Call calls sync, or plain where the service doesn't implement that.
func (m *Methods) Call(ctx context.Context, sync, plain func(context.Context) error) (synced bool, failure *Failure) {
	if now := time.Now(); now.UnixNano() >= m.plainUntil.Load() {
		err := sync(ctx)
		if status.Code(err) != codes.Unimplemented {
			return true, failureOf(ctx, err)
		}
		m.plainUntil.Store(now.Add(lookAgain).UnixNano())
	}
	err := plain(ctx)
	if status.Code(err) == codes.Unimplemented {
		// No page is to blame for an address at which something else serves.
		m.plainUntil.Store(0)
		return false, &Failure{status.Newf(codes.Unavailable, "it has neither HandleSync nor Handle: %v", err), Waits}
	}
	return false, failureOf(ctx, err)
}

func failureOf(ctx context.Context, err error) *Failure {
	if err == nil {
		return nil
	}
	st := status.Convert(err)
	switch {
	case context.Cause(ctx) == calls.ErrHung:
		return Refuse(codes.DeadlineExceeded, "%v", calls.ErrHung)
	case st.Code() == codes.Unavailable, st.Code() == codes.ResourceExhausted && !calls.TooLarge(st):
		return &Failure{st, Waits}
	}
	return &Failure{st, Counts}
}
