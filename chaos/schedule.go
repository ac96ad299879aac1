package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// kind is what a fault does.
type kind string

const (
	kill     kind = "kill -9"
	hang     kind = "hang"     // SIGSTOP, and SIGCONT past the session timeout
	zombie   kind = "zombie"   // all processes but one hang, each about to commit
	restart  kind = "restart"  // SIGTERM, and again
	scale    kind = "scale"    // down to one process and back
	blackout kind = "blackout" // all processes at once: kill -9
	broker   kind = "broker"   // Kafka: kill -9

	flush  kind = "redis flushed"  // FLUSHALL
	empty  kind = "redis lost"     // kill -9, and an empty one later
	rewind kind = "redis old dump" // kill -9, and back with what it had some time ago
	mute   kind = "redis hangs"    // SIGSTOP, and SIGCONT

	unserved   kind = "services -9"   // the examples: kill -9
	speechless kind = "services hang" // the examples: SIGSTOP, and SIGCONT
)

// ofRedis says that the fault is none of the processes'.
func (k kind) ofRedis() bool { return k == flush || k == empty || k == rewind || k == mute }

// ofMarket says that the fault is the examples'.
func (k kind) ofMarket() bool { return k == unserved || k == speechless }

// fault is one of a schedule.
type fault struct {
	Kind kind
	At   time.Duration // since the clients began
	Slot int           // of the process it is done to; of the one that stays, if others go
	For  time.Duration // how long who suffers it stays away, or silent; how old the dump is
}

func (f fault) String() string {
	whom := fmt.Sprintf("process %d, ", f.Slot)
	if f.Kind.ofRedis() || f.Kind.ofMarket() || f.Kind == broker {
		whom = ""
	}
	return fmt.Sprintf("%6.1f s  %-14s %s%.1f s", f.At.Seconds(), f.Kind, whom, f.For.Seconds())
}

// mixed is a deck of faults, which is dealt again and again: so that a run has
// all of them, the harmless ones not at the others' cost.
var mixed = []kind{kill, hang, restart, scale, kill, broker, hang, blackout, kill, restart, flush, empty, rewind, mute, unserved, speechless}

// The session timeout is 6 s: who hangs longer has lost its partitions.
const hangLeast, hangMost = 6500 * time.Millisecond, 9 * time.Second

// longestAway is how long Redis may be away, in a run that has the time.
const longestAway = time.Minute

// schedule deals faults until the run ends. The same seed gives the same ones.
func schedule(seed uint64, lasts time.Duration, processes int, deck []kind, possible func(kind) bool) (faults []fault) {
	if len(deck) == 0 {
		return nil
	}
	r := rand.New(rand.NewPCG(seed, 1))
	var left []kind
	for at := between(r, time.Second, 2*time.Second); ; {
		if len(left) == 0 {
			left = append(left, deck...)
			r.Shuffle(len(left), func(i, k int) { left[i], left[k] = left[k], left[i] })
		}
		f := fault{Kind: left[0], At: at, Slot: r.IntN(processes), For: between(r, 0, 2*time.Second)}
		left = left[1:]
		switch f.Kind {
		case hang:
			f.For = between(r, hangLeast, hangMost)
		case zombie:
			f.For = between(r, hangMost, hangMost+time.Second) // the others have long been at work
		case scale:
			f.For = between(r, 2*time.Second, 5*time.Second)
		case empty:
			f.For = between(r, 0, 5*time.Second)
			if r.IntN(4) == 0 {
				f.For = min(between(r, 5*time.Second, longestAway), lasts/6)
			}
		case speechless:
			f.For = between(r, time.Second, 4*time.Second) // well under the time that a call may take
		case rewind, mute:
			f.For = between(r, 2*time.Second, 10*time.Second)
		}
		if f.At+f.For > lasts {
			return faults
		}
		// One in three meets the next while it lasts, and so do all of Redis's.
		pause := f.For + between(r, 2*time.Second, 4*time.Second)
		if r.IntN(3) == 0 || f.Kind.ofRedis() {
			pause = between(r, 500*time.Millisecond, 2*time.Second)
		}
		if possible(f.Kind) {
			faults = append(faults, f)
			at += pause
		}
	}
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(r.Int64N(int64(most-least)))).Truncate(time.Millisecond)
}
