package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	caller "github.com/angzarr/angzarr-kafka/examples/client-go"
	inventorypb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// subscriber keeps what it has got, and its position, in memory.
type subscriber struct {
	name     string
	query    *pb.Query
	position []byte

	mu  sync.Mutex
	got map[int32][]string // by partition
	n   int
}

func (s *subscriber) Load() ([]byte, error) { return s.position, nil }

func (s *subscriber) Save(position []byte) error {
	s.position = position
	return nil
}

func (s *subscriber) take(book *pb.EventBook) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range book.Pages {
		root := log.Root(book.Cover.Root.Value)
		partition := partitioning.Of(root, 3)
		s.got[partition] = append(s.got[partition], fmt.Sprint(root, "/", p.GetNum()))
		s.n++
	}
	return nil
}

func (s *subscriber) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// Processes die, stop and come back, so that partitions change hands and streams
// break, while others write: every subscriber sees the log, each page once, in order.
func TestDeploymentSubscribersSeeTheLog(t *testing.T) {
	t.Parallel()
	m := &readModel{shop: newShop(t, "")}
	processes, doors := make([]*running, 3), make([]string, 3)
	for i := range processes {
		processes[i], doors[i] = m.serve("127.0.0.1:0")
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for seed := range uint64(3) {
		writers.Go(func() { m.write(m.dial(doors[seed]), seed, stop) })
	}
	root := uuid.New()
	writers.Go(func() {
		m.apply(m.dial(doors[0]), root, &inventorypb.CreateProduct{Sku: "A", Name: "Lamp", Quantity: 10})
		for {
			select {
			case <-stop:
				return
			case <-t.Context().Done():
				return
			default:
				m.apply(m.dial(doors[0]), root, &inventorypb.AdjustStock{Delta: 1, Reason: "found"})
			}
		}
	})

	ctx, end := context.WithCancel(t.Context())
	defer end()
	var all []*subscriber
	var reading sync.WaitGroup
	for i, door := range doors {
		for name, q := range map[string]*pb.Query{
			"the domain": {Domain: m.domain}, "a root": {Domain: m.domain, Root: &pb.UUID{Value: root[:]}},
		} {
			s := &subscriber{name: fmt.Sprint(name, " at process ", i), query: q, got: make(map[int32][]string)}
			all = append(all, s)
			reading.Go(func() {
				if err := caller.New(m.dial(door)).Subscribe(ctx, q, s, s.take); ctx.Err() == nil {
					t.Errorf("%s: %v", s.name, err)
				}
			})
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 4 {
		before := make([]int, len(all))
		for i, s := range all {
			before[i] = s.count()
		}
		waitFor(t, "all subscribers get on", func() bool {
			return !slices.ContainsFunc(all, func(s *subscriber) bool { return s.count() < before[slices.Index(all, s)]+20 })
		})
		which := rng.IntN(len(processes))
		if n%2 == 0 {
			processes[which].cmd.Process.Kill()
			<-processes[which].ended
		} else {
			processes[which].stop(t, syscall.SIGTERM)
		}
		processes[which], _ = m.serve(doors[which])
	}
	close(stop)
	writers.Wait()

	want := &subscriber{got: make(map[int32][]string)}
	one := &subscriber{got: make(map[int32][]string)}
	for _, r := range logtest.ReadCommitted(t, m.broker.Cluster, log.EventsTopic(m.domain)) {
		of, n, kind := log.ParseKey(r.Key)
		if kind != log.KeyPage {
			continue
		}
		book := &pb.EventBook{Cover: m.cover(uuid.UUID(of)), Pages: []*pb.EventPage{{Sequence: &pb.EventPage_Num{Num: n}}}}
		want.take(book)
		if uuid.UUID(of) == root {
			one.take(book)
		}
	}
	late := time.Now().Add(30 * time.Second)
	for _, s := range all {
		want := want
		if s.query.Root != nil {
			want = one
		}
		waitFor(t, s.name+" gets the rest", func() bool { return s.count() >= want.n || time.Now().After(late) })
		s.mu.Lock()
		for p := range int32(3) {
			if !slices.Equal(s.got[p], want.got[p]) {
				t.Errorf("%s: partition %d: it got %d pages, the log has %d", s.name, p, len(s.got[p]), len(want.got[p]))
			}
		}
		s.mu.Unlock()
	}
	end()
	reading.Wait()
}
