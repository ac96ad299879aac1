package load

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name     string
		failed   []error
		answered map[string]bool
		there    map[string]int
		want     string
	}{
		{"all well", nil, map[string]bool{"a": true, "b": true}, map[string]int{"a": 1, "b": 1}, ""},
		{"lost", nil, map[string]bool{"a": true, "b": true}, map[string]int{"a": 1}, "1 commands were answered and are not in the log, 0 are"},
		{"repeated", nil, map[string]bool{"a": true}, map[string]int{"a": 2}, "1 are there more than once"},
		{"failed", []error{errors.New("away")}, map[string]bool{"a": true}, map[string]int{"a": 1}, "1 of 3 calls failed, the first: away"},
		{"failed, and there", []error{errors.New("away")}, map[string]bool{"a": true}, map[string]int{"a": 1, "b": 1}, "1 of 3 calls failed"},
		{"failed, and there twice", []error{errors.New("away")}, map[string]bool{"a": true}, map[string]int{"a": 1, "b": 2}, "1 are there more than once"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := judge([]time.Duration{3 * ms, 1 * ms, 2 * ms}, tc.failed, tc.answered, tc.there)
			said := ""
			if err := r.Err(); err != nil {
				said = err.Error()
			}
			if tc.want == "" && said != "" || !strings.Contains(said, tc.want) {
				t.Errorf("it says %q, want %q", said, tc.want)
			}
			if r.Median != 2*ms || r.Worst != 3*ms {
				t.Errorf("median %v, worst %v", r.Median, r.Worst)
			}
		})
	}
}
