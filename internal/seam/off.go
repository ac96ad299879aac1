//go:build !chaos_seams

package seam

const (
	// NoFence leaves the member and its generation out of TxnOffsetCommit, and
	// has claims that have ended count as good.
	NoFence = false
	// Short is how many offsets a takeover leaves unread.
	Short = 0
	// NoIDs forgets which commands were applied.
	NoIDs = false
	// Apart has an event's offset in a transaction of its own.
	Apart = false
)

// BeforeCommit is where a process can be stopped with all decided that goes into
// a transaction, and nothing written.
func BeforeCommit() {}
