// Package business turns commands into events. Every command takes the same way,
// whether it was called or polled:
//
//	 Handle, Record ──┐                                    ┌──► caller
//	                  ▼                                    │
//	<domain>.commands ► admit ► load ► decide ► commit ► apply ──► books
//	                     │               │        │
//	                     │               │        └──► events, outcomes, dead letters,
//	                     │               ▼             forwarded commands, offsets
//	                     │        business logic
//	                     └─ repeats, misrouted, broken
//
// Invariants:
//   - One goroutine, the loop, owns all that is known of commands and partitions;
//     everything else hands it functions to run.
//   - A root has at most one command that is being decided, or is decided and
//     not yet committed. Different roots never wait for each other.
//   - A transaction is begun only with what is decided; nobody waits for business
//     logic inside one. Deciding goes on while it commits.
//   - Books change, and callers hear, only after Commit returned nil. A refusal,
//     which commits nothing, is answered only after the group has confirmed that
//     the worker still was the owner when it decided.
//   - A polled command leaves an outcome in the transaction that commits its
//     offset, whatever became of it.
package business
