package bench_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/bench"
)

// short is a benchmark that is over in a moment: what is tested is that each
// command is in the log once, which Run itself insists on.
func short(t *testing.T) bench.Options {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return bench.Options{
		Binary: binary, Partitions: 12, Replication: 1, Sides: bench.SideBare,
		Callers: 8, Connections: 1, Outstanding: 500, Aggregates: 100, Size: 200,
		Runs: 1, Warmup: 50 * time.Millisecond, Duration: 500 * time.Millisecond,
		SnapshotEvery: 4, Workers: 1, Calls: 64, Log: slog.New(slog.DiscardHandler),
	}
}

func TestBareCommitsEachCommandOnce(t *testing.T) {
	tests := map[string]func(*bench.Options){
		"calls":                func(*bench.Options) {},
		"calls, two workers":   func(o *bench.Options) { o.Workers = 2 },
		"calls, a slow root":   func(o *bench.Options) { o.SlowRoot = 100 * time.Millisecond },
		"calls, slow logic":    func(o *bench.Options) { o.LogicDelay = 10 * time.Millisecond },
		"topic":                func(o *bench.Options) { o.Topic = true },
		"topic, two workers":   func(o *bench.Options) { o.Topic, o.Workers = true, 2 },
		"topic, a slow root":   func(o *bench.Options) { o.Topic, o.SlowRoot = true, 100*time.Millisecond },
		"topic, smallest":      func(o *bench.Options) { o.Topic, o.Size, o.Aggregates = true, 32, 1 },
		"topic, one under way": func(o *bench.Options) { o.Topic, o.Outstanding = true, 1 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			options := short(t)
			change(&options)
			report, err := bench.Run(t.Context(), options)
			if err != nil {
				t.Fatal(err)
			}
			results := report.Sides[bench.SideBare]
			if len(results) != options.Runs {
				t.Fatalf("%d results of %d runs", len(results), options.Runs)
			}
			for _, result := range results {
				if result.Commands == 0 || result.Latency.P50 <= 0 || result.Latency.P50 > result.Latency.Max {
					t.Errorf("no figures: %+v", result)
				}
				if slow := options.SlowRoot.Seconds() * 1000; result.Slow.P50 < slow {
					t.Errorf("slow root took %v ms, must be %v", result.Slow.P50, slow)
				}
			}
			text := &strings.Builder{}
			if err := report.WriteText(text); err != nil || !strings.Contains(text.String(), "per_second") {
				t.Errorf("report, %v:\n%s", err, text)
			}
		})
	}
}

func TestBareSagaSendsEachCommandOnce(t *testing.T) {
	options := short(t)
	options.Events, options.Partitions = 3000, 3
	report, err := bench.RunSaga(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if results := report.Sides[bench.SideBare]; len(results) != 1 || results[0].Commands < 100 || results[0].PerSecond <= 0 {
		t.Errorf("no figures: %+v", results)
	}
}

func TestChildThatEndsIsAnErrorWithItsLastWords(t *testing.T) {
	options := short(t)
	options.Sides = bench.SideOurs // the test binary knows no `serve`
	_, err := bench.Run(t.Context(), options)
	if err == nil || !strings.Contains(err.Error(), "serve ended") || !strings.Contains(err.Error(), "no such thing here") {
		t.Errorf("got %v", err)
	}
}

func TestOptionsAreRefused(t *testing.T) {
	tests := map[string]func(*bench.Options){
		"size":    func(o *bench.Options) { o.Size = 31 },
		"runs":    func(o *bench.Options) { o.Runs = 0 },
		"sides":   func(o *bench.Options) { o.Sides = "left" },
		"target":  func(o *bench.Options) { o.Target = "localhost:1" },
		"callers": func(o *bench.Options) { o.Callers = 0 },
	}
	for field, change := range tests {
		t.Run(field, func(t *testing.T) {
			options := short(t)
			change(&options)
			_, err := bench.Run(t.Context(), options)
			if err == nil || !strings.HasPrefix(err.Error(), field+":") {
				t.Errorf("got %v, want an error that begins with %s", err, field)
			}
		})
	}
}
