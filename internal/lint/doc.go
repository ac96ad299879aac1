// Package lint holds the house to its rules: go test reads the sources of the
// whole module.
//
//   - Every package says what it is for, in a package doc.
//   - Imports point one way: cmd → frontdoor → coordinators → snapshots,
//     partitioning → log → proto.
//   - The Kafka client is spoken to in log, partitioning and bench, and in tests;
//     all else has this project's own types.
//   - Nothing sleeps in a test, but in testing/synctest's time: it waits for what
//     it needs.
//   - Logs are structured: log/slog, never the standard library's log.
//   - A file that people write has at most 500 lines.
//   - docs/architecture.md names all packages; neither it nor docs/guarantees.md
//     names a file or test that is gone.
package lint
