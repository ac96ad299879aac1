package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/angzarr/angzarr-kafka/bench"
)

// TestMain lets the test binary be the child of its own benchmarks, as the
// program is: `bench bare-worker --config file`, or bare-saga.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 5 && os.Args[2] == "bare-worker":
		os.Exit(bareWorker(os.Args[4]))
	case len(os.Args) == 5 && os.Args[2] == "bare-saga":
		os.Exit(bareSaga(os.Args[4]))
	case len(os.Args) > 1 && os.Args[1] == "serve":
		fmt.Fprintln(os.Stderr, "no such thing here")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func bareWorker(file string) int { return child(file, bench.RunBare) }

func bareSaga(file string) int { return child(file, bench.RunBareSaga) }

func child[O any](file string, run func(context.Context, O) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var options O
	content, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(content, &options)
	}
	if err == nil {
		err = run(ctx, options)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
