// Package bench measures the write path, and beside it the shortest honest loop
// that does the same work: the yardstick.
//
//	 this process                     a child process             a broker
//	┌────────────────┐  commands    ┌──────────────────┐  txn   ┌──────────┐
//	│ load           │ ───────────► │ `serve`, or      │ ─────► │ commands │
//	│ business logic │ ◄─────────── │ the bare worker  │        │ events   │
//	│ audit          │  one unary   └──────────────────┘        └────┬─────┘
//	└────────────────┘  call each                                    │
//	        ▲────────────────────────────────────────────────────────┘
//
// Both sides are laid out like this, use the same client with the same options,
// make the same unary call for each command and commit the same kind of
// transaction. The bare worker leaves out admission, books and numbering, and
// works in lockstep: take what has arrived, call, produce, offsets, end, answer,
// repeat.
//
// A saga's hop is measured with events that are there already: a child works them
// off, and the commands that they lead to are counted as they are committed.
//
// What always holds:
//   - Every run has topics of its own and a fresh child, so the sides alternate
//     without one's history in the other's way.
//   - A run counts only if the log says so: each acknowledged command's event is
//     in the committed view exactly once, and where pages are numbered, without
//     a gap. Else the run is an error, not a figure.
//   - Latencies are exact: all are kept and sorted, none is put into a bucket.
//
// The client's types are used here directly, unlike elsewhere: the yardstick
// must not stand on the code that it measures. Only the topics are made by
// package log, so that both sides' have the same settings.
package bench
