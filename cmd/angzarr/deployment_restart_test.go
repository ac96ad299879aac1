package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func forBoth(t *testing.T, test func(t *testing.T, peers string)) {
	for name, peers := range map[string]string{"peers on": peersInsecure, "peers off": peersOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, peers)
		})
	}
}

// One of two processes stops and starts, time and again, under load from both
// doors and the topic: nobody who repeats a call notices.
func TestDeploymentRestarts(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, peers string) {
		d := deploy(t, 2, peers, withEcho)
		d.owns(d.sidecar[1])
		l := d.load(20 * time.Second)
		l.more(100)
		for range d.restarts(10, 2) {
			d.term(d.sidecar[0])
			l.more(100)
			d.start(d.sidecar[0])
			d.owns(d.sidecar[0])
			l.more(100)
		}
		l.audit()
		d.end()
	})
}

// The same with a process that has no time to say good-bye: its partitions wait
// for its session to end.
func TestDeploymentIsKilled(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, peers string) {
		d := deploy(t, 2, peers, withEcho)
		d.owns(d.sidecar[1])
		l := d.load(60 * time.Second)
		for i := range d.restarts(3, 1) {
			l.more(100)
			d.kill(d.sidecar[i%2])
			d.start(d.sidecar[i%2])
			d.owns(d.sidecar[i%2])
		}
		l.more(100)
		l.audit()
		d.end()
	})
}

// All stop, all start again: the log, and how far the commands are worked off,
// are where they were, and the same ids give the same pages. Between peers that
// reach each other no call goes through the topic.
func TestDeploymentComesBack(t *testing.T) {
	t.Parallel()
	d := deploy(t, 2, peersTLS, withEcho)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	roots := []log.Root{log.Root(uuid.New()), log.Root(uuid.New()), log.Root(uuid.New())}
	call := func(i int) *pb.SynchronousProcessingResponse {
		t.Helper()
		response, err := d.sidecar[i%2].door.Handle(ctx, d.command(roots[i%len(roots)], fmt.Sprint("call-", i)))
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	var before []*pb.SynchronousProcessingResponse
	for i := range 30 {
		before = append(before, call(i))
	}
	l := d.load(20 * time.Second)
	l.more(10)
	l.stop()
	outcomes, pages := len(l.settled()), d.pages()
	if outcomes != len(l.produced) {
		t.Errorf("%d commands went through the topic, %d were written to it", outcomes, len(l.produced))
	}

	d.end()
	for _, s := range d.sidecar {
		d.start(s)
	}
	for i := range before {
		if after := call(i); !proto.Equal(before[i], after) {
			t.Errorf("command %d was answered %v, and after the restart %v", i, before[i], after)
		}
	}
	if after := d.pages(); len(after) != len(pages) {
		t.Errorf("%d commands have pages, %d had some before", len(after), len(pages))
	}
	if after := len(d.outcomes()); after != outcomes {
		t.Errorf("%d outcomes are in the log, %d were before", after, outcomes)
	}
	d.end()
}

// A process dies and does not come back. The other one sees its connection
// refused, and evicts it: its session had not ended then.
func TestDeploymentTakeover(t *testing.T) {
	t.Parallel()
	for name, peers := range map[string]string{"plain": peersInsecure, "TLS": peersTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, 2, peers, withEcho)
			d.owns(d.sidecar[1])
			l := d.load(20 * time.Second)
			for i := range d.restarts(10, 2) {
				dies, lives := d.sidecar[i%2], d.sidecar[(i+1)%2]
				incarnation := d.member(dies).Incarnation
				lives.wait(t, "reached a peer.*"+incarnation)
				l.more(100)
				d.kill(dies)
				begun := time.Now()
				lives.wait(t, "evicted a dead peer.*"+incarnation)
				l.more(100)
				t.Logf("100 calls after a kill took %v", time.Since(begun).Round(time.Millisecond))
				counted := lives.metrics(t)
				for _, want := range []string{`angzarr_evictions_total{.*reason="connections to its address are refused".*} [1-9]`, "angzarr_peers_connected 0"} {
					if !regexp.MustCompile(want).MatchString(counted) {
						t.Errorf("the metrics have no %s", want)
					}
				}
				d.start(dies)
				d.owns(dies)
			}
			l.audit()
			d.end()
		})
	}
}

// metrics are what the process has counted.
func (s *sidecar) metrics(t *testing.T) string {
	t.Helper()
	response, err := http.Get("http://" + s.wait(t, `msg=ready .*admin=(\S+)`)[1] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// member waits until a process is a member of the group, and gives what the group
// knows of it.
func (d *deployment) member(s *sidecar) (found partitioning.Membership) {
	d.Helper()
	roster := partitioning.NewRoster(d.client)
	d.until("the process is a member", func() bool {
		all, err := roster.Members(d.Context(), log.Group(d.domain))
		for _, m := range all {
			if m.Address == s.peer {
				found = m
			}
		}
		return err == nil && found.Member != ""
	})
	return found
}
