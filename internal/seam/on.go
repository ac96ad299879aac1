//go:build chaos_seams

package seam

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

var chosen = os.Getenv("CHAOS_SEAM")

var (
	NoFence = chosen == "fence"
	Short   = map[string]int64{"end": 40}[chosen]
	NoIDs   = chosen == "ids"
	Apart   = chosen == "offset"
)

// asked is when SIGUSR1 came, in nanoseconds since 1970; 0 once it was heeded.
var asked = listen()

func listen() *atomic.Int64 {
	var at atomic.Int64
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() {
		for range signals {
			at.Store(time.Now().UnixNano())
		}
	}()
	return &at
}

// BeforeCommit stops the process where SIGUSR1 asked for it, and goes on with
// the commit as soon as SIGCONT comes. Who asks waits for longer than a second:
// later nobody would wake the process.
func BeforeCommit() {
	at := asked.Swap(0)
	if at == 0 || time.Now().UnixNano()-at > int64(time.Second) {
		return
	}
	begun := time.Now()
	if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
		panic("seam: " + err.Error())
	}
	// The signal may take a moment to get here.
	for time.Since(begun) < time.Second {
		time.Sleep(time.Millisecond)
	}
}
