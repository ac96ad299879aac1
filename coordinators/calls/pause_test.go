package calls

import (
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	before := time.Duration(0)
	for attempts := range 100 {
		d := RetryAfter(attempts)
		if d < before || d <= 0 || d > 2*time.Second {
			t.Fatalf("attempt %d waits %v, the one before %v", attempts, d, before)
		}
		before = d
	}
}

// What goes to business logic is put together of bytes.
