package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// gate is the way to a process's peers' port. Once it is shut, connections are
// refused, and those there were have broken.
type gate struct {
	net.Listener
	behind string

	mu   sync.Mutex
	shut bool
	open []net.Conn
}

func newGate(t *testing.T, behind string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", freePorts(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l, behind: behind}
	t.Cleanup(g.refuse)
	go func() {
		for in, err := l.Accept(); err == nil; in, err = l.Accept() {
			go g.pass(in)
		}
	}()
	return g
}

func (g *gate) pass(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", g.behind)
	if err != nil {
		return
	}
	defer out.Close()
	g.mu.Lock()
	g.open = append(g.open, in, out)
	shut := g.shut
	g.mu.Unlock()
	if shut {
		return
	}
	go func() {
		io.Copy(in, out)
		in.Close()
	}()
	io.Copy(out, in)
}

func (g *gate) refuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	g.Close()
	for _, c := range g.open {
		c.Close()
	}
}

// evictions are how many a process says it has made.
func (s *sidecar) evictions() int { return strings.Count(s.all(), "evicted a dead peer") }

// Two healthy processes that lose sight of each other may evict each other once;
// then their group stays quiet, and calls go through the topic.
func TestDeploymentOfProcessesThatAreCutOff(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, peersGated, withEcho)
	for i, s := range d.sidecar {
		s.wait(t, "reached a peer.*"+d.member(d.sidecar[1-i]).Incarnation)
	}
	l := d.load(20 * time.Second)
	l.more(100)
	for _, s := range d.sidecar {
		s.gate.refuse()
	}
	for _, s := range d.sidecar {
		s.wait(t, "a peer does not answer.*refused=true")
	}
	for i, s := range d.sidecar {
		if s.evictions() > 0 { // whom it evicted comes back
			s.wait(t, "a peer that was evicted lives.*"+d.sidecar[1-i].peer)
		}
	}
	d.shared()
	members, begun := [2]string{d.member(d.sidecar[0]).Member, d.member(d.sidecar[1]).Member}, time.Now()
	window := time.Duration(d.restarts(20, 4)) * time.Second
	before := l.answers.Load()
	d.until("some seconds have passed", func() bool { return time.Since(begun) > window })
	answered := l.answers.Load() - before
	total := 0
	for i, s := range d.sidecar {
		if now := d.member(s).Member; now != members[i] {
			t.Errorf("%s was a member as %s, and is one as %s", s.peer, members[i], now)
		}
		if n := s.evictions(); n > 1 {
			t.Errorf("%d evictions by one process", n)
		}
		total += s.evictions()
	}
	if total == 0 {
		t.Error("nobody was evicted: nothing was tried")
	}
	if answered < 100 {
		t.Errorf("%d calls were answered in %v", answered, window)
	}
	l.audit()
	t.Logf("%d evictions, then %d calls in %v", total, answered, window)
	d.end()
}

// shared waits until every process owns something, and nobody is about to get
// something else.
func (d *deployment) shared() {
	d.Helper()
	owners := partitioning.NewOwners(d.client)
	d.until("all processes own something", func() bool {
		of := make(map[partitioning.Identity]bool)
		for p := range int32(6) {
			id, known, err := owners.Of(d.Context(), log.Group(d.domain), log.CommandsTopic(d.domain), p, true)
			if err != nil || !known {
				return false
			}
			of[id] = true
		}
		return len(of) == len(d.sidecar)
	})
}

// Healthy workers are evicted again and again under load. They come back, no call
// fails, and every command has its page once.
func TestDeploymentIsEvicted(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, peers string) {
		d := deploy(t, 2, peers, withEcho)
		roster := partitioning.NewRoster(d.client)
		l := d.load(20 * time.Second)
		group, last := log.Group(d.domain), ""
		for range d.restarts(20, 4) {
			d.shared()
			l.more(50)
			all, err := roster.Members(t.Context(), group)
			if err != nil || len(all) != 2 {
				t.Fatalf("members: %v, %v", all, err)
			}
			healthy := all[:1]
			if all[0].Incarnation == last {
				healthy = all[1:]
			}
			last = healthy[0].Incarnation
			evicted, err := roster.Evict(t.Context(), group, healthy, "in a test")
			if err != nil || len(evicted) != 1 {
				t.Fatalf("evicted %v, %v", evicted, err)
			}
			d.until("it is back", func() bool {
				now, err := roster.Members(t.Context(), group)
				return err == nil && len(now) == 2
			})
		}
		l.audit()
		d.end()
	})
}

// A fleet that died and comes back at its addresses does not wait for its dead:
// a process evicts its predecessors itself, or another one does.
func TestDeploymentDiesAndComesBack(t *testing.T) {
	t.Parallel()
	for processes, name := range map[int]string{1: "alone", 2: "together"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, processes, peersInsecure, withEcho)
			d.shared()
			l := d.load(20 * time.Second)
			l.more(100)
			for _, s := range d.sidecar {
				d.kill(s)
			}
			begun := time.Now()
			for _, s := range d.sidecar {
				d.start(s)
			}
			restarted := time.Since(begun)
			l.more(100)
			t.Logf("100 calls after all were killed took %v", time.Since(begun).Round(time.Millisecond))
			if restarted < 4*time.Second { // no session has ended then
				d.until("all who died were evicted", func() bool {
					evicted := 0
					for _, s := range d.sidecar {
						evicted += s.evictions()
					}
					return evicted == processes
				})
			}
			l.audit()
			d.end()
		})
	}
}

// Who stops hangs up on its peers, and does not wait until they do.
func TestDeploymentSaysFarewell(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, peersInsecure, withEcho)
	d.shared()
	for i, s := range d.sidecar {
		s.wait(t, "reached a peer.*"+d.member(d.sidecar[1-i]).Incarnation)
	}
	begun := time.Now()
	d.term(d.sidecar[0])
	if took := time.Since(begun); took >= stopTimeout {
		t.Errorf("it took %v to stop", took)
	}
	if n := d.sidecar[1].evictions(); n > 0 {
		t.Errorf("who had left was evicted %d times", n)
	}
	d.term(d.sidecar[1])
}
