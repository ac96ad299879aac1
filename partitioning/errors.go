package partitioning

import "errors"

var (
	// ErrNotCommitted is wrapped by an error of Commit after which nothing of
	// the transaction is, or ever will be, in the committed view of the log.
	ErrNotCommitted = errors.New("not committed")
	// ErrDeposed says that the group no longer knows the worker as the member
	// that it was: it may own less than it thinks. It comes with
	// ErrNotCommitted, and from Prove.
	ErrDeposed = errors.New("deposed: member or generation is not the group's any more")
	// ErrTooLarge says that a topic refused a record for its size. It comes with
	// ErrNotCommitted.
	ErrTooLarge = errors.New("a record is larger than its topic allows")
	// ErrOutcomeUnknown is what Commit gives when its context ends before the
	// log told what became of the transaction.
	ErrOutcomeUnknown = errors.New("it is not known whether the transaction was committed")
)
