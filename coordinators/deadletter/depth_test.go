package deadletter

import (
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// How many dead letters there are, and how old the oldest is, whatever comes and
// goes.
func TestDepth(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	admin, err := b.Cluster.NewAdmin("test-depth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	domain, err := admin.EnsureDomain(t.Context(), b.Domain("depth"), log.TopicSettings{Partitions: 2, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	writer, err := b.Cluster.NewWriter("test-depth")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(writer.Close)
	write := func(r log.Record) {
		if err := writer.Write(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
	}
	reader := sdkmetric.NewManualReader()
	d, err := NewDepth(b.Cluster, admin, domain.Name, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"), b.Cluster.Logger)
	if err != nil {
		t.Fatal(err)
	}
	look := func(depth int64, least, most time.Duration) {
		t.Helper()
		if err := d.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		var rm metricdata.ResourceMetrics
		if err := reader.Collect(t.Context(), &rm); err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, m := range rm.ScopeMetrics[0].Metrics {
			switch data := m.Data.(type) {
			case metricdata.Gauge[int64]:
				found++
				if got := data.DataPoints[0].Value; got != depth {
					t.Errorf("%s is %d, want %d", m.Name, got, depth)
				}
			case metricdata.Gauge[float64]:
				found++
				if got := time.Duration(data.DataPoints[0].Value * float64(time.Second)); got < least || got > most {
					t.Errorf("%s is %v, want %v to %v", m.Name, got, least, most)
				}
			}
		}
		if found != 2 {
			t.Errorf("%d gauges", found)
		}
	}
	letter := func(offset int64, age time.Duration) log.DeadLetter {
		id := log.LetterID{Source: log.Source{Topic: "t", Partition: int32(offset % 2), Offset: offset}}
		return log.DeadLetter{ID: id, Time: time.Now().Add(-age)}
	}
	look(0, 0, 0)
	old, fresh := letter(1, time.Hour), letter(2, time.Minute)
	write(old.Encode(domain.Name))
	write(fresh.Encode(domain.Name))
	look(2, time.Hour, time.Hour+time.Minute)
	write(old.ID.Done(domain.Name))
	look(1, time.Minute, 2*time.Minute)
	again := letter(2, 0) // which failed again
	write(again.Encode(domain.Name))
	look(1, 0, time.Minute)
	write(fresh.Drop(domain.Name, "a test", time.Now()))
	look(0, 0, 0)
}
