package partitioning_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
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

// takeoversVariable names the environment variable with how many takeovers to
// try, instead of a few.
const takeoversVariable = "ANGZARR_TEST_TAKEOVERS"

func takeovers(t *testing.T) int {
	t.Helper()
	text := os.Getenv(takeoversVariable)
	if text == "" {
		return 12 // of each kind of orphan at each step
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", takeoversVariable, err)
	}
	return n
}

// undertaker knows who has died, and looks at what the others do about it.
type undertaker struct {
	w *world

	mu      sync.Mutex
	dead    map[string]bool // incarnations
	ended   int             // requests to end a dead worker's transaction
	fetched int             // offsets, with nothing open
}

// beside has a wire watched: only the dead's transactions are ended by others,
// and no offsets are fetched while one of them is open.
func (u *undertaker) beside(wire *logtest.Wire, me string) {
	wire.On(kmsg.InitProducerID, func(req kmsg.Request) logtest.Fate {
		id := *req.(*kmsg.InitProducerIDRequest).TransactionalID
		of, _, _ := strings.Cut(strings.TrimPrefix(id, u.w.group+"/"), "/")
		u.mu.Lock()
		defer u.mu.Unlock()
		switch {
		case u.dead[of]:
			u.ended++
		case of != me:
			u.w.t.Errorf("%s ended a transaction of %s, which lives", me, of)
		}
		return logtest.Passes
	})
	wire.On(kmsg.OffsetFetch, func(req kmsg.Request) logtest.Fate {
		if g := req.(*kmsg.OffsetFetchRequest).Groups; len(g) == 0 || g[0].MemberID == nil {
			return logtest.Passes
		}
		open := u.open()
		if len(open) > 0 {
			u.w.t.Errorf("offsets are fetched while transactions of the dead are open: %v", open)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.fetched++
		return logtest.Passes
	})
}

// open are the transactional ids under which dead workers have something open.
func (u *undertaker) open() (ids []string) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	all, err := u.w.admin.ListTransactions(ctx, nil, []string{"Ongoing", "PrepareCommit", "PrepareAbort"})
	if err != nil {
		u.w.t.Error(err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := range all {
		for dead := range u.dead {
			if strings.Contains(id, dead) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// pump starts one that is watched.
func (u *undertaker) pump(committed *atomic.Int64) *pump {
	return u.w.pump(committed, func(x *worker, _ *partitioning.Config) { u.beside(x.wire, x.id.Incarnation) })
}

// roster is one whose requests are watched.
func (u *undertaker) roster() *partitioning.Roster {
	wire := logtest.NewWire(u.w.t, u.w.Cluster.Brokers[0])
	u.beside(wire, "the roster")
	cluster := u.w.Cluster
	cluster.Brokers = []string{wire.Addr()}
	client, err := kgo.NewClient(cluster.Options("roster")...)
	ok(u.w.t, err)
	u.w.t.Cleanup(client.Close)
	return partitioning.NewRoster(client)
}

// handled is how many commands the group has done with, but for those behind
// others.
func (w *world) handled() (n int64) {
	w.t.Helper()
	offsets, err := w.admin.FetchOffsets(w.t.Context(), w.group)
	ok(w.t, err)
	for p := range int32(4) {
		if o, known := offsets.Lookup(w.commands, p); known {
			n += max(0, o.At)
		}
	}
	return n
}

// orphan leaves a transaction open in a worker's name. What it holds is what the
// transactions of workers of all kinds may hold.
func (w *world) orphan(x *worker, kind string, elsewhere string) {
	w.t.Helper()
	r := &raw{w: w, id: w.group + "/" + x.id.Incarnation + "/orphan"}
	r.client = w.Client(w.t, kgo.TransactionalID(r.id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	r.begin()
	record := func(topic string) {
		ok(w.t, r.client.ProduceSync(w.t.Context(), &kgo.Record{Topic: topic, Key: []byte("orphan"), Value: []byte("orphan")}).FirstErr())
	}
	switch kind {
	case "pages":
		record(w.events)
	case "outcomes":
		record(log.OutcomesTopic(w.domain.Name))
	case "commands elsewhere":
		record(elsewhere)
	case "offsets":
		id, epoch, err := r.client.ProducerID(w.t.Context())
		ok(w.t, err)
		add := kmsg.NewPtrAddOffsetsToTxnRequest()
		add.TransactionalID, add.Group, add.ProducerID, add.ProducerEpoch = r.id, w.group, id, epoch
		resp, err := add.RequestWith(w.t.Context(), r.client)
		ok(w.t, err)
		ok(w.t, kerr.ErrorForCode(resp.ErrorCode))
		// No member, no generation: the broker takes it unchecked.
		ok(w.t, r.offsets("", -1, 0, 0, ""))
	}
}

// Workers die at any step of a commit under load, each with one transaction more
// open, and are taken over. What they left open is ended before anyone fetches
// offsets; nobody who lives is harmed, and every command is handled once.
func TestTakeoversHarmNobody(t *testing.T) {
	w := newWorld(t, 4)
	elsewhere := log.CommandsTopic(w.Domain("other"))
	w.CreateTopic(t, elsewhere, 1)
	u := &undertaker{w: w, dead: make(map[string]bool)}
	roster := u.roster()
	var committed, sent atomic.Int64
	stopFeeding := w.feeding(&sent, &committed)
	lives, dies := u.pump(&committed), u.pump(&committed)
	shared := func() {
		eventually(t, "all partitions are shared", func() bool {
			return w.stable() && len(w.members()) == 2 && len(lives.claims()) == 2 && len(dies.claims()) == 2
		})
	}
	steps := []kmsg.Key{kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn}
	fates := []logtest.Fate{logtest.CrashesBefore, logtest.CrashesAfter}
	kinds := []string{"pages", "outcomes", "commands elsewhere", "offsets"}
	var slowest time.Duration
	for i := range takeovers(t) {
		shared()
		w.orphan(dies.worker, kinds[i%len(kinds)], elsewhere)
		fate := fates[rand.IntN(len(fates))]
		dies.wire.On(steps[i%len(steps)], func(kmsg.Request) logtest.Fate { return fate })
		eventually(t, "it has crashed", func() bool {
			committed.Store(w.handled()) // who dies has committed more than it could count
			return dies.wire.IsCut()
		})
		seat := w.seat(dies.worker)
		u.mu.Lock()
		u.dead[dies.id.Incarnation] = true
		u.mu.Unlock()
		begun := time.Now()
		if i%2 == 0 {
			_, err := roster.Evict(t.Context(), w.group, []partitioning.Membership{seat}, "it has died")
			ok(t, err)
		} else {
			w.evictMember(seat.Member) // as the end of its session does
		}
		dies.stop()
		dies.worker.leave() // that is, its client
		eventually(t, "all is taken over", func() bool { return len(lives.claims()) == 4 })
		slowest = max(slowest, time.Since(begun))
		if open := u.open(); len(open) > 0 {
			t.Errorf("still open: %v", open)
		}
		dies = u.pump(&committed)
	}
	shared()
	stopFeeding()
	allHandled(t, w)
	lives.leave()
	dies.leave()
	verify(t, w, sent.Load())
	for _, err := range lives.errs {
		if !errors.Is(err, partitioning.ErrDeposed) {
			t.Errorf("a commit of who lived: %v", err)
		}
	}
	if u.ended == 0 || u.fetched == 0 {
		t.Errorf("%d transactions were ended, and %d offsets fetched: nothing was tried", u.ended, u.fetched)
	}
	t.Logf("%d commands; %d times the dead's transactions were ended; the slowest takeover took %v", sent.Load(), u.ended, slowest)
}
