package log

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// levelTrace is below slog's own levels: what kgo calls debug is a line for
// every request.
const levelTrace = slog.LevelDebug - 4

// clientLogger hands kgo's lines to slog. What kgo calls info (each rebalance,
// each metadata change) is our debug.
type clientLogger struct{ slog *slog.Logger }

func (l clientLogger) Level() kgo.LogLevel {
	ctx := context.Background()
	for _, level := range []kgo.LogLevel{kgo.LogLevelDebug, kgo.LogLevelInfo, kgo.LogLevelWarn, kgo.LogLevelError} {
		if l.slog.Enabled(ctx, slogLevel(level)) {
			return level
		}
	}
	return kgo.LogLevelNone
}

func (l clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	l.slog.Log(context.Background(), slogLevel(level), msg, keyvals...)
}

func slogLevel(level kgo.LogLevel) slog.Level {
	switch level {
	case kgo.LogLevelError:
		return slog.LevelError
	case kgo.LogLevelWarn:
		return slog.LevelWarn
	case kgo.LogLevelInfo:
		return slog.LevelDebug
	default:
		return levelTrace
	}
}
