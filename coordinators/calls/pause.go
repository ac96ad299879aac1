package calls

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Timeout bounds one call of a service, so that one that hangs holds a root for
// so long and no longer.
const Timeout = 30 * time.Second

// RetryAfter is the pause before a service is asked again.
func RetryAfter(attempts int) time.Duration {
	const first, most = 20 * time.Millisecond, 2 * time.Second
	return min(most, first<<min(attempts, 10))
}

// Wait returns after a pause, or as soon as ctx ends.
func Wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// TooLarge tells a message that is too large, and would be so again, from a
// service that is overloaded. gRPC has one code for both.
func TooLarge(st *status.Status) bool {
	return st.Code() == codes.ResourceExhausted && strings.Contains(st.Message(), "larger than max")
}
