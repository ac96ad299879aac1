package frontdoor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/partitioning"
)

// seat is a member at the address that all rows are about.
func seat(incarnation, member string) partitioning.Membership {
	return partitioning.Membership{Identity: partitioning.Identity{Address: "here", Incarnation: incarnation}, Group: "g", Member: member}
}

// story is what happens to a neighbour, in seconds and words: "0 list a/1" has
// the group list incarnation a as member 1; "0 answers a", "0 refuses" and
// "0 silence" are what greetings come to. It gives who was evicted when.
func story(t *testing.T, lines ...string) (evicted string) {
	t.Helper()
	start := time.Unix(0, 0)
	n := newNeighbour("here")
	for _, line := range lines {
		var second float64
		var what string
		if _, err := fmt.Sscan(line, &second, &what); err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(line)[2:]
		now := start.Add(time.Duration(second * float64(time.Second)))
		if what == "list" {
			var listed []partitioning.Membership
			for _, w := range words {
				incarnation, member, _ := strings.Cut(w, "/")
				listed = append(listed, seat(incarnation, member))
			}
			n.list(now, listed)
			continue
		}
		g := greeting{address: "here", listed: n.listed}
		switch what {
		case "answers":
			g.incarnations = words
		case "refuses":
			g.refused, g.err = true, errors.New("refused")
		case "silence":
			g.err = errors.New("no answer")
		default:
			t.Fatalf("what is %q?", line)
		}
		n.greeted(now, g)
		dead, _ := n.dead(now, g)
		for _, m := range dead {
			evicted += fmt.Sprintf("%v:%s/%s ", second, m.Incarnation, m.Member)
		}
		n.evict(dead)
	}
	return evicted
}

// Who is taken for dead, and when nobody is.
func TestWhoIsDead(t *testing.T) {
	for name, tc := range map[string]struct {
		lines []string
		want  string
	}{
		"reached, then refused":       {[]string{"0 list a/1", "0 answers a", "5 refuses"}, "5:a/1 "},
		"never reached":               {[]string{"0 list a/1", "0 refuses", "5 refuses"}, ""},
		"silence":                     {[]string{"0 list a/1", "0 answers a", "5 silence", "9 silence"}, ""},
		"silence, then refused":       {[]string{"0 list a/1", "0 answers a", "5 silence", "6 refuses"}, "6:a/1 "},
		"all of a process's workers":  {[]string{"0 list a/1 b/2", "0 answers a b", "5 refuses"}, "5:a/1 5:b/2 "},
		"who came after it answered":  {[]string{"0 list a/1", "0 answers a", "5 list a/1 b/2", "5 refuses"}, "5:a/1 "},
		"another answers":             {[]string{"0 list a/1", "0 answers a", "5 answers b"}, "5:a/1 "},
		"another answers at first":    {[]string{"0 list a/1", "0 answers b"}, "0:a/1 "},
		"it answers again":            {[]string{"0 list a/1", "0 answers a", "5 answers a"}, ""},
		"only once":                   {[]string{"0 list a/1", "0 answers a", "5 refuses", "6 refuses"}, "5:a/1 "},
		"alive, and out of reach":     {[]string{"0 list a/1", "0 answers a", "5 refuses", "6 list a/2", "60 refuses", "600 refuses"}, "5:a/1 "},
		"alive, and in doubt":         {[]string{"0 list a/1", "0 answers a", "5 refuses", "5 list a/2", "5.1 answers a", "5.9 refuses", "6.1 refuses"}, "5:a/1 6.1:a/2 "},
		"it answers, evicted":         {[]string{"0 list a/1", "0 answers a", "5 refuses", "5.1 answers a", "6 refuses", "6.2 refuses"}, "5:a/1 6.2:a/1 "},
		"two at one address":          {[]string{"0 list a/1 b/2", "0 answers a", "1 list a/1 b/3", "1.5 answers a", "2 answers a"}, "0:b/2 2:b/3 "},
		"a successor is not in doubt": {[]string{"0 list a/1", "0 answers a", "5 refuses", "6 list b/2", "6 answers b", "6.1 refuses"}, "5:a/1 6.1:b/2 "},
	} {
		t.Run(name, func(t *testing.T) {
			if got := story(t, tc.lines...); got != tc.want {
				t.Errorf("evicted %q, want %q", got, tc.want)
			}
		})
	}
}

// Each mistake makes the next doubt longer, up to a bound.
func TestDoubtGrows(t *testing.T) {
	n, now := newNeighbour("here"), time.Unix(0, 0)
	var doubts []time.Duration
	for i := range 9 {
		n.evict([]partitioning.Membership{seat("a", fmt.Sprint(i))})
		if alive := n.list(now, []partitioning.Membership{seat("a", fmt.Sprint(i+1))}); !slices.Equal(alive, []string{"a"}) {
			t.Fatalf("alive are %v", alive)
		}
		doubts = append(doubts, n.doubt.Sub(now)/time.Second)
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}; !slices.Equal(doubts, want) {
		t.Errorf("in doubt for %d s, want %d s", doubts, want)
	}
	if alive := n.list(now, []partitioning.Membership{seat("a", "9")}); alive != nil {
		t.Errorf("a mistake counts twice: %v", alive)
	}
}

// A neighbour is greeted at once where a connection broke that had lasted, and
// less and less often where nobody answers.
func TestWhenToGreet(t *testing.T) {
	n, now := newNeighbour("here"), time.Unix(0, 0)
	if n.due(now) {
		t.Error("nobody is there to be greeted")
	}
	n.list(now, []partitioning.Membership{seat("a", "1")})
	var waits []time.Duration
	for range 8 {
		if !n.due(n.again) {
			t.Fatal("a neighbour is not greeted again")
		}
		n.greeted(now, greeting{err: errors.New("no")})
		waits = append(waits, n.again.Sub(now)/time.Millisecond)
	}
	if want := []time.Duration{20, 40, 80, 160, 320, 640, 1000, 1000}; !slices.Equal(waits, want) {
		t.Errorf("greeted again after %d ms, want %d", waits, want)
	}
	n.greeted(now, greeting{incarnations: []string{"a"}})
	if n.due(now.Add(time.Hour)) || n.replaced(now) {
		t.Error("who is connected is greeted")
	}
	n.brokeOff(now, 10*time.Second)
	if !n.due(now) {
		t.Error("not redialled at once")
	}
	n.brokeOff(now, time.Millisecond)
	if n.due(now) || !n.due(now.Add(againFirst)) {
		t.Error("a process that hangs up at once is greeted without a pause")
	}
	n.greeted(now, greeting{incarnations: []string{"a"}})
	n.list(now, []partitioning.Membership{seat("b", "2")})
	if !n.replaced(now) {
		t.Error("a connection to who is no member is held")
	}
	n.list(now, nil)
	if n.forgotten(now.Add(doubtLast)) || !n.forgotten(now.Add(time.Hour)) {
		t.Error("forgotten too soon, or never")
	}
}
