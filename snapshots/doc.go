// Package snapshots keeps open books: what business logic needs to decide, which
// is an aggregate's latest snapshot and the pages after it.
//
//	           takeover: fold up to the high watermark
//	events ──────────────────────────────────────────► books in memory ──► decide
//	   ▲                                                 │        ▲
//	   └──────────── a commit ──────────────────────────apply─┘   │
//	   └──────────── a book that had to leave: read its pages again ─┘
//
// With a shelf in Redis a takeover folds only what is past the shelf's mark, and
// what leaves memory is read back from there:
//
//	events ── past the mark, at a takeover ──┐       ┌──► books in memory
//	                                         ▼       │ all that are missing, and the mark, in one look
//	apply ── what waits ── a batch ────────► shelf ──┘
//	                       and the mark      (and past its mark: events)
//
// Invariants:
//   - A book holds only what is committed.
//   - A root that is not in memory is a new aggregate only if its partition has
//     been folded to the end and the root never left memory; else it is read
//     from the log. With a shelf: only if the shelf has no book of it, and its
//     mark, seen in the same look, is past all that left memory.
//   - A page whose number is not the next one makes its book unusable, with an
//     error that says where; it is never folded silently.
//   - A shelf with a mark has all that the log has before it, and nothing behind
//     it, whatever Redis has forgotten: a batch of changes and the mark that they
//     lead to are written at once, and only if the mark is where the batch begins.
//     A rebuild needs no look at what is stored, as nobody else can have written it.
//   - Nobody waits for the shelf to be written, and what waits is bounded. What
//     there is no room for is read from the log again.
package snapshots
