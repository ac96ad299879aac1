package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const (
	loadRoots   = 40
	loadCallers = 8
	// loadPace is between two commands of one caller: many restarts, not many
	// commands, are what is tested.
	loadPace = 4 * time.Millisecond
)

// load calls and produces until it is stopped, and remembers what became of it.
type load struct {
	*deployment
	deadline time.Duration // of each call
	roots    [loadRoots]log.Root
	stopped  chan struct{}
	all      sync.WaitGroup

	answers atomic.Int32 // so far
	retries atomic.Int32

	mu       sync.Mutex
	answered map[string]page1 // by command id
	produced map[string]log.Root
	slowest  time.Duration
}

// page1 is where a command's one page is.
type page1 struct {
	root   log.Root
	number uint32
}

// load begins. Every call may take the deadline, tries in all.
func (d *deployment) load(deadline time.Duration) *load {
	l := &load{
		deployment: d, deadline: deadline, stopped: make(chan struct{}),
		answered: make(map[string]page1), produced: make(map[string]log.Root),
	}
	for i := range l.roots {
		l.roots[i] = log.Root(uuid.New())
	}
	for caller := range loadCallers {
		l.all.Go(func() {
			for n := 0; l.next(); n++ {
				l.call(caller, fmt.Sprintf("call-%d-%d", caller, n), l.roots[(caller+n*loadCallers)%loadRoots])
			}
		})
	}
	l.all.Go(l.produce)
	d.Cleanup(l.stop) // before the processes are
	return l
}

// next is false once the load is stopped.
func (l *load) next() bool {
	pace := time.NewTimer(loadPace)
	defer pace.Stop()
	select {
	case <-l.stopped:
		return false
	case <-pace.C:
		return true
	}
}

// stop ends the load when every call has its answer.
func (l *load) stop() {
	select {
	case <-l.stopped:
	default:
		close(l.stopped)
	}
	l.all.Wait()
}

// call calls one door and then the other, with the same id, for as long as they
// say UNAVAILABLE. A door may do so when it goes away itself: what happens to
// others its caller does not hear of.
func (l *load) call(caller int, id string, root log.Root) {
	ctx, cancel := context.WithTimeout(context.Background(), l.deadline)
	defer cancel()
	begun := time.Now()
	for try := caller; ; try++ {
		s, answers := l.sidecar[try%len(l.sidecar)], peer.Peer{}
		turn := s.turns.Load()
		response, err := s.door.Handle(ctx, l.command(root, id), grpc.Peer(&answers))
		if err != nil && answers.Addr != nil && turn%2 == 1 && s.turns.Load() == turn {
			l.Errorf("%s: a door that was there all the time said after %v: %v", id, time.Since(begun), err)
		}
		switch {
		case err == nil && len(response.Books) == 1 && len(response.Books[0].Pages) == 1:
			l.answers.Add(1)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.answered[id] = page1{root, response.Books[0].Pages[0].GetNum()}
			l.slowest = max(l.slowest, time.Since(begun))
			return
		case err == nil:
			l.Errorf("%s was answered %v", id, response)
			return
		case status.Code(err) != codes.Unavailable || ctx.Err() != nil:
			l.Errorf("%s failed after %v: %v", id, time.Since(begun), err)
			return
		}
		l.retries.Add(1)
		l.next() // a moment, also when the load stops: the call goes on
	}
}

// produce writes commands to the topic, as any other Kafka client would.
func (l *load) produce() {
	writer, err := l.broker.Cluster.NewWriter("test-load")
	if err != nil {
		l.Error(err)
		return
	}
	defer writer.Close()
	for n := 0; l.next(); n++ {
		id, root := fmt.Sprintf("topic-%d", n), l.roots[n%loadRoots]
		value, err := proto.Marshal(l.command(root, id))
		if err != nil {
			l.Error(err)
			return
		}
		r := &log.Record{Topic: log.CommandsTopic(l.domain), Partition: partitioning.Of(root, 6), Key: root[:], Value: value}
		if err := writer.Write(context.Background(), r); err != nil {
			l.Errorf("%s could not be produced: %v", id, err)
			return
		}
		l.mu.Lock()
		l.produced[id] = root
		l.mu.Unlock()
	}
}

// more waits until so many more calls have been answered.
func (l *load) more(calls int32) {
	l.Helper()
	want := l.answers.Load() + calls
	l.until(fmt.Sprintf("%d more calls are answered", calls), func() bool { return l.answers.Load() >= want })
}

// until waits for what is bound to come.
func (d *deployment) until(what string, is func() bool) {
	d.Helper()
	patience := time.NewTimer(90 * time.Second)
	defer patience.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-patience.C:
			d.Fatalf("not within 90 s: %s", what)
		case <-tick.C:
		}
	}
}

// audit stops the load and compares what callers were told with the log: a
// root's pages are 1, 2, 3, …, each command has one, and the one that its caller
// was told of.
func (l *load) audit() {
	l.Helper()
	l.stop()
	outcomes, found := l.settled(), l.pages()
	for id, told := range l.answered {
		if found[id] != told {
			l.Errorf("%s: the caller was told of page %d of %s, the log has page %d of %s", id, told.number, told.root, found[id].number, found[id].root)
		}
	}
	for id, root := range l.produced {
		o := outcomes[id]
		if o.Code != 0 || o.FirstPage != o.LastPage || (found[id] != page1{root, o.FirstPage}) {
			l.Errorf("%s: the outcome is %v, the log has page %d of %s", id, o, found[id].number, found[id].root)
		}
	}
	if n := len(l.answered) + len(l.produced); len(found) != n {
		l.Errorf("the log has pages of %d commands, %d were given", len(found), n)
	}
	l.Logf("%d calls (%d tries more, the slowest %v) and %d commands from the topic, each with one page",
		len(l.answered), l.retries.Load(), l.slowest.Round(time.Millisecond), len(l.produced))
}

// settled waits until every command from the topic has an outcome.
func (l *load) settled() (outcomes map[string]*pb.Outcome) {
	l.Helper()
	l.until("every command from the topic has an outcome", func() bool {
		outcomes = l.outcomes()
		for id := range l.produced {
			if outcomes[id] == nil {
				return false
			}
		}
		return true
	})
	return outcomes
}

// outcomes are those of the topic's commands; each has one.
func (d *deployment) outcomes() map[string]*pb.Outcome {
	d.Helper()
	all := make(map[string]*pb.Outcome)
	for _, r := range logtest.ReadCommitted(d, d.broker.Cluster, log.OutcomesTopic(d.domain)) {
		o := &pb.Outcome{}
		if err := proto.Unmarshal(r.Value, o); err != nil {
			d.Fatal(err)
		}
		// A door that goes through the topic may have written its copies twice.
		if all[o.CommandId] != nil && len(o.CommandId) > 5 && o.CommandId[:5] == "topic" {
			d.Errorf("%s has two outcomes: %v and %v", o.CommandId, all[o.CommandId], o)
		}
		all[o.CommandId] = o
	}
	return all
}

// pages are the log's, by the command that each is of.
func (d *deployment) pages() map[string]page1 {
	d.Helper()
	found := make(map[string]page1)
	last := make(map[log.Root]uint32)
	for _, k := range logtest.ReadCommitted(d, d.broker.Cluster, log.EventsTopic(d.domain)) {
		r := log.FromClient(k)
		p, err := log.DecodePage(&r)
		if err != nil {
			d.Fatal(err)
		}
		if p.Sequence != last[p.Root]+1 {
			d.Errorf("%s/%d: page %d of %s follows upon page %d", r.Topic, r.Partition, p.Sequence, p.Root, last[p.Root])
		}
		if want := partitioning.Of(p.Root, 6); r.Partition != want {
			d.Errorf("page %d of %s is in partition %d, not %d", p.Sequence, p.Root, r.Partition, want)
		}
		if first, twice := found[p.Cause.CommandID]; twice {
			d.Errorf("%s has two pages: %v, and %d of %s", p.Cause.CommandID, first, p.Sequence, p.Root)
		}
		last[p.Root] = p.Sequence
		found[p.Cause.CommandID] = page1{p.Root, p.Sequence}
	}
	return found
}
