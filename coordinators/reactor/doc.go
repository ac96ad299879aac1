// Package reactor has a service react to a domain's committed events: a projector
// or a saga. Each page takes the same way:
//
//	<domain>.events ► admit ► gather ► call ► commit ──► what it led to,
//	                    │                │       │         dead letters, offsets
//	                    │                ▼       │
//	                    └─ not for it   the service
//
// Invariants:
//   - One goroutine, the loop, owns all that is known of pages and partitions.
//   - A root's pages are called in the order of the log, one call at a time;
//     different roots don't wait for each other.
//   - What a call led to, and the offset of its pages, commit together or not at
//     all, fenced by the group's generation.
//   - A page is called again only if its call failed, or if the worker died, or
//     lost the partition, between the call and the commit.
//   - A page that was called in vain too often becomes a dead letter, and the
//     root's next one goes on. A service that is not there costs no page a try.
package reactor
