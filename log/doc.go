// Package log is the store and the bus: topics, keys, records, the clients that
// reach the brokers, and the embedded broker.
//
//	angzarr.<domain>.commands     root            → CommandBook
//	angzarr.<domain>.events       root ‖ sequence → the event's own bytes
//	                              root            → Snapshot
//	                              root ‖ 0        → Erased
//	angzarr.<domain>.outcomes     root            → Outcome
//	angzarr.<domain>.dead-letters topic/partition/offset[/group] → what could not be done
//	angzarr.replies               command id      → Outcome with its pages
//
// Invariants:
//   - A root's partition is chosen by the root alone, and is the same in its
//     domain's commands and events topics.
//   - A page's key is never used for anything else, so compaction keeps every
//     page; a snapshot's key is the root, so compaction keeps the latest.
//   - An event record can be read without this package: it is a CloudEvent in
//     Kafka's binary mode, and its value is the event message itself.
//   - A reader that is to arrive somewhere keeps control records: the last
//     offset before a high watermark may be a transaction's marker.
package log
