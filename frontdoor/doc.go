// Package frontdoor is what callers talk to: it finds the owner of an aggregate,
// and stays with a command until it has an answer or the caller stops waiting.
//
//	caller ──► check ──► the owner is here ─────────────► worker
//	                 ├─► a peer owns it ────────────────► its worker
//	                 └─► else: <domain>.commands ► owner ► angzarr.replies
//
// Invariants:
//   - A command is sent on again only under the same id, so whatever became of
//     the first try, it is applied once.
//   - An error says truly whether the command was applied: UNAVAILABLE is "in
//     doubt, repeat it with this id"; every other code is "not applied". So no
//     error is passed on that a try before it could belie.
//   - Once a command may stand in its topic, only the reply to the last copy
//     written refuses it: copies are decided in the order of the topic, and what
//     any other way answers could be belied by a copy that is still to come.
//   - Nothing of a command is kept here: who loses the door loses a connection.
//   - A peer is taken for dead only by what its address shows: a refusal, if it
//     was reached before, or another process. Silence proves nothing. Whoever
//     is evicted and lives joins its groups anew.
package frontdoor
