package snapshots

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// measured gives a world its own metrics, and what reads its gauges of a catch-up.
func (w *shelfWorld) measured() (gauges func() map[string]int64) {
	w.t.Helper()
	reader := sdkmetric.NewManualReader()
	metrics, err := NewMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.shelf.metrics = metrics
	return func() map[string]int64 {
		var all metricdata.ResourceMetrics
		if err := reader.Collect(context.Background(), &all); err != nil {
			w.t.Fatal(err)
		}
		found := make(map[string]int64)
		for _, scope := range all.ScopeMetrics {
			for _, m := range scope.Metrics {
				name, of := strings.CutPrefix(m.Name, "angzarr.shelf.catchup")
				if gauge, ok := m.Data.(metricdata.Gauge[int64]); ok && of {
					found[name] = gauge.DataPoints[0].Value
				}
			}
		}
		return found
	}
}

// While a shelf is rebuilt, metrics say how far it is; then they say nothing.
func TestARebuildShowsItsProgress(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	gauges := w.measured()
	const batch = 100
	w.shelf.rebuild.changes, w.shelf.rebuild.chunk, w.shelf.rebuild.fold = batch, 1<<10, 4<<10
	for n := range 3 * batch {
		w.log.page(rootOf(n), 1, fmt.Sprint("c", n), noon)
	}
	var midst map[string]int64
	read := func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
		n := 0
		return w.log.read(ctx, spans, func(r *log.Record) error {
			if n++; n == 2*batch+batch/2 {
				eventually(t, "what was read is written", func() bool {
					midst = gauges()
					left, known := midst[""]
					return known && left < w.log.end()/2
				})
			}
			return fn(r)
		})
	}
	b := w.shelf.Books(1, w.domain)
	if err := b.Restore(t.Context(), read, map[int32]int64{w.log.partition: w.log.end()}, func(int) {}); err != nil {
		t.Fatal(err)
	}
	b.Drop(w.log.partition)
	left, whole := midst[""], midst[".total"]
	if whole != w.log.end() || left <= 0 || left > whole/2 || midst[".rate"] <= 0 {
		t.Errorf("after two thirds of %d offsets: %v", w.log.end(), midst)
	}
	if after := gauges(); !maps.Equal(after, map[string]int64{"": 0, ".total": 0, ".rate": 0, ".remaining": 0}) {
		t.Errorf("when all was read: %v", after)
	}
}

// Rate and the time that is left are reckoned from what was done.
func TestProgressIsReckoned(t *testing.T) {
	w := newShelfWorld(t, redistest.Start(t))
	gauges := w.measured()
	k := newKeeper(w.shelf, w.domain, w.log.partition, 0)
	said := &bytes.Buffer{}
	k.log = slog.New(slog.NewTextHandler(said, nil))
	c := catchUp{keeper: k, from: 1000, to: 5000, begun: time.Now().Add(-10 * time.Second)}
	c.records.Store(900)
	c.step(2000)
	if got, want := gauges(), map[string]int64{"": 3000, ".total": 4000, ".rate": 90, ".remaining": 30}; !near(got, want) {
		t.Errorf("metrics say %v, want %v", got, want)
	}
	for _, want := range []string{"records=900", "offset=2000", "of=5000", "left=30s"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the log says %q, not %s", said, want)
		}
	}
	said.Reset()
	if c.step(3000); said.Len() > 0 {
		t.Errorf("said so soon after: %s", said)
	}
}

// near allows for the time that a busy machine takes.
func near(got, want map[string]int64) bool {
	for name, n := range want {
		if d := got[name] - n; d < -n/10 || d > n/10 {
			return false
		}
	}
	return len(got) == len(want)
}
