package main

import (
	"os"
	"runtime/debug"

	"github.com/angzarr/angzarr-kafka/config"
)

const (
	// besideBooks is what a process may take beside limits.books before it
	// collects garbage harder: buffers of the clients, and commands under way. What
	// is resident of the program itself, about 28 MiB, comes on top.
	besideBooks = 38 << 20
	// besideEvents is what each projector and each saga may take: events that are
	// read and not done, and room to collect garbage in. mostBeside is what all of
	// them may: few of a process are behind at the same time.
	besideEvents, mostBeside = 64 << 20, 256 << 20
	// booksShare is how much of limits.books, in percent, books take themselves. The
	// rest is room to collect garbage in: what books leave behind when they come and
	// go, and what commands do. With little of it a collection comes every few
	// hundred commands, and each looks at all books.
	booksShare = 75
	// gcPercent lets garbage grow while there is room: most of what a command
	// allocates is gone with its answer. The default, 100, collects twice as
	// often for nothing.
	gcPercent = 300
)

// booksIn is how many bytes of books fit into a limit.
func booksIn(limit config.Size) int { return int(limit / 100 * booksShare) }

// limitMemory keeps the process within its books and what it may take beside them,
// as far as Go's soft limit can. Who sets GOMEMLIMIT or GOGC knows better.
func limitMemory(c *config.Config) {
	if os.Getenv("GOMEMLIMIT") == "" {
		beside := min(mostBeside, besideEvents*(len(c.Projectors)+len(c.Sagas)))
		debug.SetMemoryLimit(int64(c.Limits.Books) + besideBooks + int64(beside))
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
