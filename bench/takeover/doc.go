// Package takeover measures what the shelf is for: how long nobody answers when
// a process dies, stops, hangs or starts, and what that costs while all is well.
//
//	 this process                  child processes           brokers, Redis
//	┌─────────────────┐          ┌────────────────┐
//	│ load and probes ├─────────►│ serve    serve │◄──────► log and shelf
//	│ business logic  │◄─────────┤  killed, stopped,
//	│ audit           │          │  hung, started │
//	└────────┬────────┘          └────────────────┘
//	         └──────── fills the log before, and reads it afterwards
//
// A probe is a call to an aggregate of one partition that begins when something
// is done to that partition's owner, and is made again, with the same id, until
// it is answered. What a section does is said where it is, in a file of its name.
//
// What always holds:
//   - A figure counts only if the log says so: when all sections are through, each
//     page that was filled in and each command that was answered is in the log
//     exactly once, each other command at most once, and the pages of every
//     aggregate are 1, 2, 3, …
//   - Children run as people run them: the same program, with its defaults.
//
// The clients' types are used here directly: the bare runs must not stand on the
// code that they are compared with.
package takeover
