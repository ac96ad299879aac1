package frontdoor

import (
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/partitioning"
)

const (
	// againFirst and againLast are how long to wait between greetings of an
	// address where nobody answers.
	againFirst = 20 * time.Millisecond
	againLast  = time.Second
	// doubtFirst and doubtLast are for how long nobody at an address is taken
	// for dead after somebody there was by mistake.
	doubtFirst = time.Second
	doubtLast  = time.Minute
	// forgetAfter is after how long without a member an address is forgotten.
	forgetAfter = 2 * doubtLast
	// mostEvicted are remembered at an address: who lives is back soon.
	mostEvicted = 100
)

// neighbour is what is known of an address where members of the groups are
// reached. Its rules need no clock and no connection.
type neighbour struct {
	address string
	listed  []partitioning.Membership // as the groups gave them last
	seen    time.Time                 // when there was one

	greeting  bool   // is under way
	hangUp    func() // ends the greeting, or the connection that came of it
	connected bool
	evicting  bool
	again     time.Time     // when to greet next
	wait      time.Duration // between greetings

	// reached are the incarnations that answered last. Nobody else is dead
	// because connections are refused: they may never have been possible.
	reached []string
	// evicted are those whom we took for dead, with the membership that it cost.
	evicted  map[string]string
	mistakes int
	doubt    time.Time // until when we don't believe ourselves
}

func newNeighbour(address string) *neighbour {
	return &neighbour{address: address, evicted: make(map[string]string), hangUp: func() {}}
}

// list takes in who is a member now. It gives those who were taken for dead, and
// have joined anew.
func (n *neighbour) list(now time.Time, listed []partitioning.Membership) (alive []string) {
	n.listed = listed
	if len(listed) > 0 {
		n.seen = now
	}
	for _, m := range listed {
		if cost, evicted := n.evicted[m.Incarnation]; evicted && cost != m.Member {
			alive = append(alive, n.mistaken(now, m.Incarnation))
		}
	}
	return alive
}

// mistaken takes in that one who was evicted lives.
func (n *neighbour) mistaken(now time.Time, incarnation string) string {
	delete(n.evicted, incarnation)
	n.doubt = now.Add(min(doubtLast, doubtFirst<<min(n.mistakes, 10)))
	n.mistakes++
	return incarnation
}

// due says that it is time to greet.
func (n *neighbour) due(now time.Time) bool {
	return !n.greeting && !n.connected && len(n.listed) > 0 && !now.Before(n.again)
}

// replaced says that the connection is to somebody who is not the member that
// the group has at the address.
func (n *neighbour) replaced(now time.Time) bool {
	return n.connected && !n.evicting && !now.Before(n.doubt) && slices.ContainsFunc(n.listed, func(m partitioning.Membership) bool {
		return !slices.Contains(n.reached, m.Incarnation)
	})
}

// greeted takes in what came of a greeting. It gives those who were taken for
// dead and have answered.
func (n *neighbour) greeted(now time.Time, g greeting) (alive []string) {
	n.greeting = false
	n.connected = g.answered()
	if !n.connected {
		n.wait = min(againLast, max(againFirst, 2*n.wait))
		n.again = now.Add(n.wait)
		return nil
	}
	n.reached = g.incarnations
	for _, incarnation := range g.incarnations {
		if _, evicted := n.evicted[incarnation]; evicted {
			alive = append(alive, n.mistaken(now, incarnation))
		}
	}
	return alive
}

// brokeOff takes in that the connection broke. It is made anew at once, unless
// the last one did not last.
func (n *neighbour) brokeOff(now time.Time, lasted time.Duration) {
	n.connected = false
	n.wait = min(againLast, max(againFirst, 2*n.wait))
	if lasted > againLast {
		n.wait = 0
	}
	n.again = now.Add(n.wait)
}

// Why a member is dead.
const (
	whyRefused     = "connections to its address are refused"
	whyReplaced    = "another process answers at its address"
	whyPredecessor = "its address is this process's now"
)

// dead gives the members whose process is dead by what a greeting has shown, and
// how it did.
func (n *neighbour) dead(now time.Time, g greeting) (dead []partitioning.Membership, why string) {
	var is func(incarnation string) bool
	switch {
	case n.evicting || now.Before(n.doubt):
		return nil, ""
	case g.answered():
		why = whyReplaced
		is = func(incarnation string) bool { return !slices.Contains(g.incarnations, incarnation) }
	case g.refused:
		why = whyRefused
		is = func(incarnation string) bool { return slices.Contains(n.reached, incarnation) }
	default:
		return nil, ""
	}
	for _, m := range g.listed {
		if is(m.Incarnation) {
			dead = append(dead, m)
		}
	}
	return dead, why
}

// evict takes in that members were evicted, by whomever. They have to be reached
// again before a refusal says anything about them.
func (n *neighbour) evict(members []partitioning.Membership) {
	if len(n.evicted) > mostEvicted {
		clear(n.evicted)
	}
	for _, m := range members {
		n.evicted[m.Incarnation] = m.Member
		n.reached = slices.DeleteFunc(slices.Clone(n.reached), func(r string) bool { return r == m.Incarnation })
	}
}

// forgotten says that there has been nobody for long.
func (n *neighbour) forgotten(now time.Time) bool { return now.Sub(n.seen) > forgetAfter }
