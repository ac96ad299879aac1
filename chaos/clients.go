package chaos

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

// load is the clients of a run. Each draws from a seed of its own.
type load struct {
	*runner
	history *history
	begun   time.Time
	roots   []*target
	writer  *log.Writer
	stopped chan struct{}
	shop    *shop // nil without a market
}

// target is a root, and what clients think of it: other clients may know better.
type target struct {
	root    log.Root
	counter bool // else it is a register
	last    atomic.Uint32
	value   atomic.Int64
}

// learn takes in what an answer says of the root.
func (t *target) learn(s state) {
	if s.Last >= t.last.Load() {
		t.last.Store(s.Last)
		t.value.Store(s.Value)
	}
}

// hot roots get a third of all commands: their books grow long, and their
// commands meet.
const hot = 5

func newLoad(r *runner, writer *log.Writer) *load {
	l := &load{runner: r, history: &history{}, begun: time.Now(), writer: writer, stopped: make(chan struct{})}
	random := rand.New(rand.NewPCG(r.o.Seed, 2))
	for i := range r.o.Roots {
		l.roots = append(l.roots, &target{root: newRoot(random), counter: i%2 == 0})
	}
	return l
}

// newRoot draws one.
func newRoot(random *rand.Rand) (root log.Root) {
	binary.BigEndian.PutUint64(root[:8], random.Uint64())
	binary.BigEndian.PutUint64(root[8:], random.Uint64())
	return root
}

// run has clients give commands until stop is closed, and returns when all have
// their last answer.
func (l *load) run() {
	var all sync.WaitGroup
	for n := range l.o.Clients {
		c := &client{load: l, name: fmt.Sprint("c", n), random: rand.New(rand.NewPCG(l.o.Seed, uint64(100+n)))}
		all.Go(c.run)
	}
	all.Wait()
}

func (l *load) now() int64 { return int64(time.Since(l.begun)) }

func (l *load) ended() bool {
	select {
	case <-l.stopped:
		return true
	default:
		return false
	}
}

// client gives one command after another.
type client struct {
	*load
	name   string
	random *rand.Rand
	given  int
}

func (c *client) run() {
	for !c.ended() {
		t := c.roots[c.random.IntN(len(c.roots))]
		if c.random.IntN(3) == 0 {
			t = c.roots[c.random.IntN(min(hot, len(c.roots)))]
		}
		if c.random.IntN(100) == 0 {
			c.look(t)
		} else {
			c.give(t, c.draw(t))
		}
		sleep(context.Background(), time.Duration(5+c.random.IntN(20))*time.Millisecond) //nolint:errcheck // it can't end early
	}
}

// draw makes a new command.
func (c *client) draw(t *target) try {
	c.given++
	d := try{ID: fmt.Sprintf("%s-%d", c.name, c.given), Root: t.root}
	last, value, n := t.last.Load(), t.value.Load(), int64(c.random.IntN(1000))
	switch at := c.random.IntN(10); {
	case at == 0:
		d.Order = order{Kind: peek}
	case t.counter && at < 7:
		d.Order = order{add, 1 + n%3, 1 + n/100}
	case t.counter:
		d.Order = order{Kind: take, A: n / 20}
	case at < 5:
		d.Order = order{Kind: write, A: n}
	default:
		d.Order = order{swap, value, n}
	}
	switch c.random.IntN(10) {
	case 0, 1, 2:
		d.Expected = last + 1
	case 3:
		d.Expected = last + uint32(c.random.IntN(3))
	}
	return d
}

// give gives a command, in one of the ways in which people do.
func (c *client) give(t *target, d try) {
	switch way := c.random.IntN(100); {
	case way < 20:
		c.produce(d)
	case way < 24: // the same by topic, at the same time
		c.both(t, d, func(again try) { c.produce(again) })
	case way < 29: // the same by another door, at the same time
		c.both(t, d, func(again try) { c.call(t, again, c.deadline(), c.random.IntN(len(c.fleet.slots))) })
	default:
		c.insist(t, d)
		switch again := c.random.IntN(100); {
		case again < 6:
			c.call(t, d, c.deadline(), c.random.IntN(len(c.fleet.slots)))
		case again < 9:
			c.produce(d)
		}
	}
}

// both gives a command twice at the same time.
func (c *client) both(t *target, d try, other func(try)) {
	deadline, door := c.deadline(), c.random.IntN(len(c.fleet.slots))
	var call sync.WaitGroup
	call.Go(func() { c.call(t, d, deadline, door) })
	other(d)
	call.Wait()
}

// insist repeats a command that is in doubt, with its id and by another door, as
// callers should; some don't.
func (c *client) insist(t *target, d try) {
	often := 0
	if c.random.IntN(3) > 0 {
		often = 8
	}
	door := c.random.IntN(len(c.fleet.slots))
	for n := 0; ; n++ {
		result := c.call(t, d, c.deadline(), (door+n)%len(c.fleet.slots))
		if result != doubtful && result != unapplied || n >= often {
			return
		}
		sleep(context.Background(), 100*time.Millisecond) //nolint:errcheck // it can't end early
	}
}

// deadline is a caller's: some are in a hurry.
func (c *client) deadline() time.Duration {
	all := []time.Duration{300 * time.Millisecond, 2 * time.Second, 5 * time.Second, 12 * time.Second}
	return all[c.random.IntN(len(all))]
}
