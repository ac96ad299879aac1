// Package chaos runs a deployment under faults and then proves from the log that
// nothing was lost, doubled or answered wrongly:
//
//	schedule ──► faults ──► serve processes, Kafka, Redis
//	                             ▲        │
//	          callers, producers ┘        ▼
//	                │              log, read_committed
//	                ▼                     │
//	             history ──► check ◄── evidence
//
// Beside commands of its own the run has those of the examples: orders, which a
// saga has the inventory reserve, and a projector that sums up what is left.
//
// What is checked are plain functions of a history (what callers were told) and
// evidence (what the log says), so that each kind of harm can be made up in a
// test. docs/guarantees.md says which promise each of them proves.
//
// Invariants:
//   - A seed makes the schedule of faults and what each client draws; how they
//     meet is the machine's doing.
//   - A command's id is that of one order for one root, however often and by
//     whichever way it is given.
//   - Everything that is started is ended, also when the run fails.
package chaos
