package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"

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
