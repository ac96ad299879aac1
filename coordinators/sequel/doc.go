// Package sequel waits for what committed pages lead to, and gathers it: what
// projectors have made of them, the commands of sagas, what became of these, and
// what that led to in turn.
//
//	page ──► projector's worker ──► projection
//	    └──► saga's worker ──► command ──► its domain's worker ──► page, and so on
//	              │                              │
//	              └── reaction ─► angzarr.replies ◄─ outcome       who waits is told,
//	                                   │                           once it is committed
//	                                   ▼
//	    groups' offsets, log ──► what is known ──► answer          and looks for itself,
//	                                                               after a while
//
// Invariants:
//   - Nobody is called here. Projectors and sagas are called by the workers that
//     own the partitions, in the order of the log, and who waits only hears of it.
//   - What is told was committed before. What is not told, because a worker died
//     between the two, or because the pages were committed for somebody else, is in
//     the log: a group's committed offset says that it has done with a page, and
//     what it made of it was committed together with that offset.
//   - A page counts as done for a service only by its word or by its group's offset.
//   - What is waited for is committed already, whatever becomes of the wait.
package sequel
