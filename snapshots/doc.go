// Package snapshots keeps open books: what business logic needs to decide, which
// is an aggregate's latest snapshot and the pages after it.
//
//	           takeover: fold up to the high watermark
//	events ──────────────────────────────────────────► books in memory ──► decide
//	   ▲                                                 │        ▲
//	   └──────────── a commit ──────────────────────────────apply─┘
//	   └──────────── a book that had to leave: read its pages again
//
// Invariants:
//   - A book holds only what is committed.
//   - A root that is not in memory is a new aggregate only if its partition has
//     been folded to the end and the root never left memory; else it is read
//     from the log.
//   - A page whose number is not the next one makes its book unusable, with an
//     error that says where; it is never folded silently.
package snapshots
