// Package rebuild has projectors made anew, beside what they have made or in its
// place, and holds them.
//
//	an order ──► angzarr.projectors ──► the one steersman: fences, exchanges
//	                    │     ▲                 │          projections
//	                    │     └── the state ◄───┘
//	                    ▼
//	             followers, in all processes: versions begin and stop
//
// A rebuild beside goes from building to finishing (the old version has stopped)
// to switching (both have): then what the new one has made is copied to
// angzarr.projections.<name>, where it differs. In place it goes from resetting to
// building to switching, which deletes what is of the old version still.
//
// Invariants:
//   - The state changes by the transactions of the steersman alone: the owner of
//     the topic's one partition in the projector's steering group.
//   - A worker calls nothing before it has read the state up to where the topic
//     ended after its assignment. So who is taken out of a group after a state was
//     written never works against it: that is a fence.
//   - Each version has groups of its own, which begin at the start of the log, and
//     no number is used twice. So each sees each event as if it were alone.
//   - Nobody but the steersman writes to angzarr.projections.<name> while versions
//     are exchanged, and the new version has done all by then that the old one had
//     done: of no root the projections go back, but for a rebuild in place.
package rebuild
