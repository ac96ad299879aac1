package log

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kfake"
)

// fakeLogger hands the embedded broker's lines to slog, each a level lower
// than the broker thinks: what it warns of is its clients' doing.
type fakeLogger struct{ slog *slog.Logger }

func (l fakeLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := levelTrace
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelWarn
	case kfake.LogLevelWarn:
		to = slog.LevelDebug
	}
	ctx := context.Background()
	if l.slog.Enabled(ctx, to) {
		l.slog.Log(ctx, to, "embedded Kafka: "+fmt.Sprintf(format, args...))
	}
}
