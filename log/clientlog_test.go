package log

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestClientLevels(t *testing.T) {
	for _, row := range []struct {
		ours slog.Level
		kgo  kgo.LogLevel
	}{
		{slog.LevelError + 4, kgo.LogLevelNone},
		{slog.LevelError, kgo.LogLevelError},
		{slog.LevelWarn, kgo.LogLevelWarn},
		{slog.LevelInfo, kgo.LogLevelWarn},
		{slog.LevelDebug, kgo.LogLevelInfo},
		{levelTrace, kgo.LogLevelDebug},
	} {
		var out bytes.Buffer
		logger := clientLogger{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: row.ours}))}
		if got := logger.Level(); got != row.kgo {
			t.Errorf("at %v the client logs at %v, want %v", row.ours, got, row.kgo)
		}
		logger.Log(row.kgo, "said", "key", "value")
		if said := strings.Contains(out.String(), "key=value"); said != (row.kgo != kgo.LogLevelNone) {
			t.Errorf("at %v a line of level %v became %q", row.ours, row.kgo, out.String())
		}
	}
}

func TestBrokerLinesAreOneLevelLower(t *testing.T) {
	var out bytes.Buffer
	logger := fakeLogger{slog.New(slog.NewTextHandler(&out, nil))}
	logger.Logf(kfake.LogLevelWarn, "client %d went away", 7)
	if out.Len() > 0 {
		t.Errorf("a client's going away is shown: %q", out.String())
	}
	logger.Logf(kfake.LogLevelError, "persist: %v", "disk full")
	if !strings.Contains(out.String(), "WARN") || !strings.Contains(out.String(), "disk full") {
		t.Errorf("an error became %q", out.String())
	}
}
