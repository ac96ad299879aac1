package frontdoor

import (
	"log/slog"
	"sync"
	"time"
)

// sometimes logs what could be said with every command, once in a while.
type sometimes struct {
	log *slog.Logger

	mu   sync.Mutex
	said map[string]time.Time
}

const (
	saidAgain = 10 * time.Second
	mostSaid  = 100 // keys that are remembered
)

func (s *sometimes) warn(key, message string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.said[key]; ok && time.Since(at) < saidAgain {
		return
	}
	if s.said == nil || len(s.said) >= mostSaid {
		s.said = make(map[string]time.Time)
	}
	s.said[key] = time.Now()
	s.log.Warn(message, args...)
}
