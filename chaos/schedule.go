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
	stall    kind = "stall"    // all processes but one hang
	restart  kind = "restart"  // SIGTERM, and again
	scale    kind = "scale"    // down to one process and back
	blackout kind = "blackout" // all processes at once: kill -9
	broker   kind = "broker"   // Kafka: kill -9
	flush    kind = "flush"    // Redis: FLUSHALL
)

// fault is one of a schedule.
type fault struct {
	Kind kind
	At   time.Duration // since the clients began
	Slot int           // of the process it is done to; of the one that stays, if others go
	For  time.Duration // how long the process stays away, or silent
}

func (f fault) String() string {
	return fmt.Sprintf("%6.1f s  %-8s process %d, %.1f s", f.At.Seconds(), f.Kind, f.Slot, f.For.Seconds())
}

// mixed is a deck of faults, which is dealt again and again: so that a run has
// all of them, the harmless ones not at the others' cost.
var mixed = []kind{kill, hang, restart, scale, kill, broker, hang, flush, blackout, kill, restart}

// The session timeout is 6 s: who hangs longer has lost its partitions.
const hangLeast, hangMost = 6500 * time.Millisecond, 9 * time.Second

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
		case hang, stall:
			f.For = between(r, hangLeast, hangMost)
		case scale:
			f.For = between(r, 2*time.Second, 5*time.Second)
		}
		if f.At+f.For > lasts {
			return faults
		}
		// One in three meets the next while it lasts.
		pause := f.For + between(r, 2*time.Second, 4*time.Second)
		if r.IntN(3) == 0 {
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
