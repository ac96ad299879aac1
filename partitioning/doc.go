// Package partitioning says who owns what, and lets only the owner write.
//
//	                 assigned            polled or called
//	consumer group ──────────► claim ◄─────────────────────── a command
//	      │                      │
//	      │ generation           │ held from poll to commit?
//	      ▼                      ▼
//	  begin ─► produce, all acknowledged ─► offsets with the generation ─► end
//
// Invariants:
//   - A claim begins with an assignment and ends with its loss, or with the
//     membership in which it began: the client does not tell of every loss. What
//     came in under a claim that has ended is never committed, even if its
//     partition came back.
//   - Every transaction is fenced by the group's generation. It is read before
//     the claims are checked, and nothing is produced after it was sent: what a
//     deposed owner wrote lies below the high watermark that its successor reads.
//   - Commit returns nil only if the transaction is committed, and
//     [ErrNotCommitted] only if it never will be. In between it asks the log.
//   - A transaction has one producer id and epoch from its first record to its
//     offsets: the client would go on under others, without what it wrote before.
//   - A transaction of a current member of the group is never ended by another,
//     and a transactional id is used in one membership only: what was open in
//     the last one may be ended at any time.
package partitioning
