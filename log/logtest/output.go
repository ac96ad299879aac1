package logtest

import (
	"io"
	"log/slog"
	"sync"
	"testing"
)

// logger says what clients complain of, in the output of a test that failed.
func logger(t testing.TB) *slog.Logger {
	out := &output{to: t.Output()}
	t.Cleanup(out.end)
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// output drops what comes after the test: a client's last goroutines may
// outlive its Close by a moment, and a test's output panics once it has ended.
type output struct {
	mu    sync.Mutex
	to    io.Writer
	ended bool
}

func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return len(line), nil
	}
	return o.to.Write(line)
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
}
