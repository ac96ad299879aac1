package main

import (
	"os"
	"runtime/debug"

	"github.com/angzarr/angzarr-kafka/config"
)

const (
	// besideBooks is what a process may take beside its open books before it
	// collects garbage harder: buffers of the clients, and commands under way.
	besideBooks = 40 << 20
	// gcPercent lets garbage grow while there is room: most of what a command
	// allocates is gone with its answer. The default, 100, collects twice as
	// often for nothing.
	gcPercent = 300
)

// limitMemory keeps the process within its books and besideBooks, as far as Go's
// soft limit can. Who sets GOMEMLIMIT or GOGC knows better.
func limitMemory(books config.Size) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(books) + besideBooks)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
