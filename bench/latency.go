package bench

import (
	"slices"
	"time"
)

// window is the part of a run that counts.
type window struct{ from, to time.Time }

func (w window) holds(t time.Time) bool { return !t.Before(w.from) && t.Before(w.to) }

// latencies of the commands that were answered within the window; those of the
// slow root apart.
type latencies struct{ all, slow []time.Duration }

func (l *latencies) add(r root, took time.Duration) {
	if r == slowRoot {
		l.slow = append(l.slow, took)
		return
	}
	l.all = append(l.all, took)
}

func (l *latencies) merge(other latencies) {
	l.all = append(l.all, other.all...)
	l.slow = append(l.slow, other.slow...)
}

// Latency is a distribution, in milliseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// newLatency sorts what it is given. A percentile is the smallest value that at
// least so many percent are not above: nearest rank.
func newLatency(took []time.Duration) Latency {
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	at := func(percent int) float64 {
		rank := (len(took)*percent + 99) / 100
		return took[max(rank, 1)-1].Seconds() * 1000
	}
	return Latency{P50: at(50), P95: at(95), P99: at(99), Max: at(100)}
}

// Spread is what several runs gave.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func newSpread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	median := sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return Spread{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}
