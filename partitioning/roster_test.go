package partitioning_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// seat is a worker's membership.
func (w *world) seat(x *worker) partitioning.Membership {
	w.t.Helper()
	all, err := partitioning.NewRoster(w.client).Members(w.t.Context(), w.group)
	ok(w.t, err)
	for _, m := range all {
		if m.Incarnation == x.id.Incarnation {
			return m
		}
	}
	w.t.Fatalf("%s is no member among %v", x.id.Incarnation, all)
	return partitioning.Membership{}
}

// A worker that has died with a transaction open is out of its group, and its
// transaction ended, when Evict returns. A second eviction finds nobody.
func TestEvict(t *testing.T) {
	w := newWorld(t, 2)
	a := w.join()
	c := a.claim(0)
	a.claim(1)
	b := w.join()
	b.await("has its share", func() bool { return len(b.held) == 1 })
	a.await("keeps its own", func() bool { return len(a.held) == 1 })
	for _, c = range a.claims() {
	}
	a.wire.On(kmsg.EndTxn, func(kmsg.Request) logtest.Fate { return logtest.CrashesBefore })
	go a.commit(c, "1")
	eventually(t, "cut off", a.wire.IsCut)

	dead, roster := w.seat(a), partitioning.NewRoster(w.client)
	evicted, err := roster.Evict(t.Context(), w.group, []partitioning.Membership{dead}, "it has died")
	if err != nil || len(evicted) != 1 || evicted[0] != dead {
		t.Fatalf("evicted %v, %v", evicted, err)
	}
	stable, err := log.StableOffsets(t.Context(), w.client, w.events)
	ok(t, err)
	ends, err := log.HighWatermarks(t.Context(), w.client, w.events)
	ok(t, err)
	if stable[c.Partition] != ends[c.Partition] || ends[c.Partition] == 0 {
		t.Errorf("partition %d ends at %d, and is stable up to %d", c.Partition, ends[c.Partition], stable[c.Partition])
	}
	evicted, err = roster.Evict(t.Context(), w.group, []partitioning.Membership{dead}, "it has died")
	if err != nil || len(evicted) != 0 {
		t.Errorf("evicted again: %v, %v", evicted, err)
	}
	b.claim(c.Partition)
}

// A broker that fails to say what is open, or who is a member, is asked again; one
// that forbids it is not.
func TestEndingOrphansIsTriedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		key       kmsg.Key
		why       *kerr.Error
		forbidden bool
	}{
		"what is open":               {kmsg.ListTransactions, kerr.UnknownServerError, false},
		"who is a member":            {kmsg.DescribeGroups, kerr.UnknownServerError, false},
		"who is a member, forbidden": {kmsg.DescribeGroups, kerr.GroupAuthorizationFailed, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			a := w.join()
			a.claim(0)
			w.orphan(&worker{id: partitioning.NewIdentity("")}, "pages", "")
			wire := logtest.NewWire(t, w.Cluster.Brokers[0])
			var asked atomic.Int32
			wire.Forge(tc.key, func(resp kmsg.Response) {
				if asked.Add(1) > 3 && !tc.forbidden {
					return
				}
				switch r := resp.(type) {
				case *kmsg.ListTransactionsResponse:
					r.ErrorCode, r.TransactionStates = tc.why.Code, nil
				case *kmsg.DescribeGroupsResponse:
					r.Groups[0].ErrorCode = tc.why.Code
				}
			})
			cluster := w.Cluster
			cluster.Brokers = []string{wire.Addr()}
			client, err := kgo.NewClient(cluster.Options("undertaker")...)
			ok(t, err)
			t.Cleanup(client.Close)
			dead, begun := w.seat(a), time.Now()
			a.wire.Cut()
			_, err = partitioning.NewRoster(client).Evict(t.Context(), w.group, []partitioning.Membership{dead}, "it has died")
			if forbidden := errors.Is(err, tc.why); forbidden != tc.forbidden {
				t.Errorf("after %v: %v", time.Since(begun), err)
			}
			if tc.forbidden {
				if took := time.Since(begun); took > 2*time.Second {
					t.Errorf("what is forbidden was tried for %v", took)
				}
				return
			}
			if n := asked.Load(); n <= 3 {
				t.Errorf("asked %d times", n)
			}
			stable, err := log.StableOffsets(t.Context(), w.client, w.events)
			ok(t, err)
			ends, err := log.HighWatermarks(t.Context(), w.client, w.events)
			ok(t, err)
			if stable[0] != ends[0] || ends[0] == 0 {
				t.Errorf("the partition ends at %d, and is stable up to %d", ends[0], stable[0])
			}
		})
	}
}

// A group that is not there has no members, and nobody can be evicted from it.
func TestRosterOfNoGroup(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join()
	a.claim(0)
	roster := partitioning.NewRoster(w.client)
	none := log.Group(w.Domain("none"))
	all, err := roster.Members(t.Context(), w.group, none)
	if err != nil || len(all) != 1 || all[0].Group != w.group || all[0].Incarnation != a.id.Incarnation {
		t.Errorf("members: %v, %v", all, err)
	}
	if all, err := roster.Members(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("members of no groups: %v, %v", all, err)
	}
	if evicted, err := roster.Evict(t.Context(), none, all, ""); err != nil || len(evicted) != 0 {
		t.Errorf("evicted %v, %v", evicted, err)
	}
	if a.claim(0).Ended() {
		t.Error("who was no member of it is harmed")
	}
}

// Who evicts a worker wrongly, and is slow about ending what it left open, must
// not meet a transaction that the worker begins as a member again.
func TestTransactionOfTheNextMembership(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join()
	c := a.claim(0)
	a.mustCommit(c, "1")
	first := make(chan struct{}, 1)
	goOn := make(chan struct{}) // for each end of a's transactions
	a.wire.On(kmsg.EndTxn, func(kmsg.Request) logtest.Fate {
		first <- struct{}{}
		<-goOn
		return logtest.Passes
	})
	done := make(chan error, 1)
	go func() { done <- a.commit(c, "2") }()
	<-first

	slow := logtest.NewWire(t, w.Cluster.Brokers[0])
	cluster := w.Cluster
	cluster.Brokers = []string{slow.Addr()}
	client, err := kgo.NewClient(cluster.Options("slow")...)
	ok(t, err)
	t.Cleanup(client.Close)
	fences, fence := slow.Hold(t, kmsg.InitProducerID)
	seat, evicted := w.seat(a), make(chan error, 1)
	go func() {
		_, err := partitioning.NewRoster(client).Evict(t.Context(), w.group, []partitioning.Membership{seat}, "it seems dead")
		evicted <- err
	}()
	<-fences
	goOn <- struct{}{}
	ok(t, <-done) // its offsets were there in time

	a.await("has joined anew", func() bool { return a.held[0] != nil && a.held[0] != c })
	go func() { done <- a.commit(a.claim(0), "3") }()
	<-first
	fence()
	ok(t, <-evicted)
	goOn <- struct{}{}
	ok(t, <-done)
	w.wantPages("1", "2", "3")
}

// A worker that lives is evicted again and again under load. It joins anew each
// time, and no command is lost or handled twice.
func TestEvictedAgainAndAgain(t *testing.T) {
	w := newWorld(t, 4)
	var committed, sent atomic.Int64
	stopFeeding := w.feeding(&sent, &committed)
	a, b := w.pump(&committed), w.pump(&committed)
	roster := partitioning.NewRoster(w.client)
	last := ""
	for range 5 {
		eventually(t, "both own something", func() bool {
			now := w.members()[b.id.Incarnation]
			return now != "" && now != last && w.stable() && len(a.claims()) > 0 && len(b.claims()) > 0
		})
		until := committed.Load() + 20
		eventually(t, "commands are handled", func() bool { return committed.Load() >= until })
		seat := w.seat(b.worker)
		last = seat.Member
		evicted, err := roster.Evict(t.Context(), w.group, []partitioning.Membership{seat}, "wrongly")
		if err != nil || len(evicted) != 1 {
			t.Fatalf("evicted %v, %v", evicted, err)
		}
	}
	stopFeeding()
	allHandled(t, w)
	a.leave()
	b.leave()
	verify(t, w, sent.Load())
	for _, err := range a.errs { // whom nobody evicted
		if !errors.Is(err, partitioning.ErrDeposed) {
			t.Errorf("a commit of a member: %v", err)
		}
	}
	t.Logf("%d commands; refused commits: %d, and %d of who was evicted", sent.Load(), len(a.errs), len(b.errs))
}
