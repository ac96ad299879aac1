package business_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// steps are the requests of a commit, in their order.
var steps = []kmsg.Key{kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn}

// with has a worker commit in a way that has the step: offsets are added to a
// transaction by a request of its own only before transaction.version 2.
func with(key kmsg.Key) option {
	return func(_ *worker, c *business.Config) {
		if key == kmsg.AddOffsetsToTxn {
			c.Member.TransactionVersion = 0
		}
	}
}

// batch is a few commands that go into one transaction or two: calls, records,
// and a record that becomes a dead letter.
func (w *world) batch(x *worker, ctx context.Context) (roots []log.Root) {
	for i := range 4 {
		root := w.root(0)
		roots = append(roots, root)
		c := w.order(root, fmt.Sprint("command ", i), "say 2 x")
		if i%2 == 0 {
			x.goHandle(ctx, c)
			continue
		}
		w.put(w.recordOf(c))
	}
	r := w.recordOf(w.order(w.root(0), "dead", "panic"))
	w.put(r)
	return roots
}

// checkBatch repeats the calls, as who was not answered does, and audits.
func (w *world) checkBatch(roots []log.Root) {
	w.t.Helper()
	for i, root := range roots {
		if i%2 > 0 {
			continue
		}
		if book := w.must(w.order(root, fmt.Sprint("command ", i), "say 2 x")); len(book.Pages) != 2 || book.Pages[0].GetNum() != 1 {
			w.t.Errorf("command %d led to %v", i, book)
		}
	}
	w.quiet()
	h := w.audit()
	for i, root := range roots {
		if len(h.roots[root]) != 2 {
			w.t.Errorf("command %d left %d pages", i, len(h.roots[root]))
		}
	}
	o := w.outcomes()
	for _, id := range []string{"command 1", "command 3"} {
		if got := o.of(id); got.Code != 0 || got.FirstPage != 1 || got.LastPage != 2 {
			w.t.Errorf("%s: %v", id, got)
		}
	}
	if got := o.of("dead"); codes.Code(got.Code) != codes.Internal || len(w.deadLetters()) != 1 {
		w.t.Errorf("the bad one: %v, and %d dead letters", got, len(w.deadLetters()))
	}
}

// A worker crashes before and after each step of a commit; another takes over.
func TestACrashAtEachStep(t *testing.T) {
	for _, key := range steps {
		for name, fate := range map[string]logtest.Fate{"before": logtest.CrashesBefore, "after": logtest.CrashesAfter} {
			t.Run(name+" "+key.Name(), func(t *testing.T) {
				w := newWorld(t, 1)
				x := w.owner(serve(t, simple), with(key))
				w.must(w.order(w.root(0), "first", "x")) // it has a producer
				ctx, crashed := context.WithCancel(t.Context())
				x.wire.On(key, func(kmsg.Request) logtest.Fate { return fate })
				roots := w.batch(x, ctx)
				eventually(t, "the worker has crashed", x.wire.IsCut)
				crashed()
				x.crash()
				w.owner(serve(t, simple))
				w.checkBatch(roots)
			})
		}
	}
}

// A request, or its answer, is lost, and the worker goes on.
func TestALossAtEachStep(t *testing.T) {
	for _, key := range append(steps, kmsg.Heartbeat, kmsg.ListOffsets) {
		for name, fate := range map[string]logtest.Fate{"itself": logtest.LosesItself, "its answer": logtest.LosesAnswer} {
			t.Run(key.Name()+" loses "+name, func(t *testing.T) {
				w := newWorld(t, 1)
				x := w.owner(serve(t, simple), with(key), withBooks(1)) // books are read back
				w.must(w.order(w.root(0), "first", "x"))
				var once atomic.Bool
				x.wire.On(key, func(kmsg.Request) logtest.Fate {
					if once.CompareAndSwap(false, true) {
						return fate
					}
					return logtest.Passes
				})
				roots := w.batch(x, t.Context())
				if st := x.refused(w.order(w.root(0), "refused", "refuse 5 no")); st.Code() != codes.NotFound && st.Code() != codes.Unknown {
					t.Errorf("a refusal: %v", st)
				}
				w.checkBatch(roots)
				if key != kmsg.ListOffsets && !once.Load() {
					t.Error("nothing was lost")
				}
			})
		}
	}
}

// A worker is evicted while a step of its commit is held up: whoever takes over
// must not meet it again.
func TestAnEvictionAtEachStep(t *testing.T) {
	for _, key := range steps {
		t.Run(key.Name(), func(t *testing.T) {
			w := newWorld(t, 1)
			x := w.owner(serve(t, simple), with(key))
			w.must(w.order(w.root(0), "first", "x"))
			y := w.start(serve(t, simple)) // which waits for its turn
			h := x.hold(key)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			roots := w.batch(x, ctx)
			await(t, "the step", h.entered)
			beats := x.hold(kmsg.Heartbeat) // it does not hear of it
			x.evict()
			y.ownsAll()
			close(h.released)
			close(beats.released)
			w.checkBatch(roots)
		})
	}
}

// A worker has to stop while nobody knows what became of its commit. Its callers
// are told so, and a repeat is safe.
func TestAStopInDoubt(t *testing.T) {
	w := newWorld(t, 1)
	x := w.worker(serve(t, simple))
	x.SetRevokeTimeout(200 * time.Millisecond)
	x.run().ownsAll()
	h := x.hold(kmsg.EndTxn)
	root := w.root(0)
	answer := x.goHandle(t.Context(), w.order(root, "it", "x"))
	await(t, "the transaction is about to end", h.entered)
	w.put(w.recordOf(w.order(w.root(0), "topic", "x")))
	eventually(t, "a record is decided", func() bool { return x.Decided() == 2 })
	go x.stop()
	if r := await(t, "an answer", answer); status.Code(r.err) != codes.Unavailable || !strings.Contains(r.err.Error(), "it") {
		t.Errorf("the caller is told %v, %v", r.book, r.err)
	}
	y := w.owner(serve(t, simple))
	if book, err := y.Handle(t.Context(), w.order(root, "it", "x"), ""); err != nil || book.Pages[0].GetNum() != 1 {
		t.Errorf("its repeat: %v, %v", book, err)
	}
	w.quiet()
	if h := w.audit(); len(h.commands) != 2 {
		t.Errorf("the log has %d commands", len(h.commands))
	}
}

// A refusal from a deposed worker's book, which has no idea of its successor's
// pages, is wrong. The group's word in between is what prevents it.
func TestARefusalFromAStaleBook(t *testing.T) {
	for name, proved := range map[string]bool{"without proof": false, "with proof": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			x := w.worker(serve(t, simple))
			entered := make(chan struct{}, 10)
			if !proved {
				x.RefuseUnproved()
			}
			x.BeforeProof(func() { entered <- struct{}{} })
			x.run().ownsAll()
			root := w.root(0)
			w.must(w.order(root, "one", "x"))

			beats := x.hold(kmsg.Heartbeat) // it does not hear of its eviction
			await(t, "a heartbeat is held up", beats.entered)
			x.evict()
			y := w.owner(serve(t, simple))
			book, err := y.Handle(t.Context(), w.order(root, "two", "x"), "")
			if err != nil || book.Pages[0].GetNum() != 2 {
				t.Fatalf("the successor: %v, %v", book, err)
			}

			right := w.order(root, "three", "x")
			right.Pages[0].Sequence = 3 // as who has seen page 2 expects
			answer := x.goHandle(t.Context(), right)
			await(t, "the refusal waits for the group's word", entered)
			close(beats.released)
			r := await(t, "an answer", answer)
			if proved && r.err != business.ErrNotOwner {
				t.Errorf("the caller is told %v, %v", r.book, r.err)
			}
			if !proved && status.Code(r.err) != codes.Aborted {
				t.Errorf("the caller is told %v: this shows nothing", r.err)
			}
			if !proved {
				w.forget(x) // it would say so again
			}
			if book := w.must(right); book.Pages[0].GetNum() != 3 {
				t.Errorf("the owner says %v", book)
			}
			w.quiet()
			w.audit()
		})
	}
}

// Deciding goes on while a transaction commits, and what was decided meanwhile
// goes into the next one.
func TestGroupCommit(t *testing.T) {
	w := newWorld(t, 2)
	x := w.owner(serve(t, simple))
	h := x.hold(kmsg.EndTxn)
	first := x.goHandle(t.Context(), w.order(w.root(0), "first", "x"))
	await(t, "the transaction is about to end", h.entered)
	const n = 50
	var others []<-chan result
	for i := range n {
		others = append(others, x.goHandle(t.Context(), w.order(w.root(int32(i%2)), fmt.Sprint(i), "x")))
	}
	eventually(t, "all others are decided", func() bool { return x.Decided() == n+1 })
	select {
	case r := <-first:
		t.Fatalf("answered before its commit: %v, %v", r.book, r.err)
	default:
	}
	close(h.released)
	for _, answer := range append(others, first) {
		if r := await(t, "an answer", answer); r.err != nil {
			t.Error(r.err)
		}
	}
	if more := len(h.entered); more != 1 {
		t.Errorf("what was decided meanwhile took %d transactions", more)
	}
	w.audit()
}
