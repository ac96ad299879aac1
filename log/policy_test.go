package log

import (
	"math"
	"testing"
	"time"
)

func TestDurationsNeverOverflow(t *testing.T) {
	for _, row := range []struct {
		n    int64
		unit time.Duration
		want time.Duration
	}{
		{0, time.Minute, 0},
		{10080, time.Minute, 7 * day},
		{-1, time.Millisecond, forever},
		{math.MaxInt64, time.Millisecond, forever},
		{math.MaxInt32, time.Hour, forever},
	} {
		if got := duration(row.n, row.unit); got != row.want {
			t.Errorf("%d × %v is %v, want %v", row.n, row.unit, got, row.want)
		}
	}
}

// Where brokers don't say how long offsets are kept there is nothing to
// compare with.
func TestUnknownOffsetsRetentionRefusesNothing(t *testing.T) {
	p := commandsPolicy("order", 0)
	found := topicState{replicas: 1, config: map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}}
	if err := p.check(found); err != nil {
		t.Error(err)
	}
	if got := p.settings["retention.ms"]; got != millis(commandsRetention) {
		t.Errorf("commands would be kept for %s ms", got)
	}
}
