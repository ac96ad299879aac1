package business_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// request asks to erase a root.
func (w *world) request(root log.Root, id string) *angzarr.EraseRequest {
	return &angzarr.EraseRequest{Cover: w.cover(root), Reason: "forget", CommandId: id}
}

// erase has a root erased by whoever owns it.
func (w *world) erase(root log.Root, id string) *angzarr.Erased {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), bound)
	defer cancel()
	book, err := w.route(ctx, root[:], func(x *worker) (*angzarr.EventBook, error) { return x.Erase(ctx, w.request(root, id), "") })
	if err != nil {
		w.t.Fatalf("erase %s: %v", root, err)
	}
	return book.Erased
}

// remains is what a cleaner would leave of a root in its events topic: each key's
// last record.
type remains struct {
	pages, tombstones int
	snapshot          bool
	erased            *angzarr.Erased
	before            bool // a page's tombstone stands before the first word of the erasure
}

func (w *world) remains(root log.Root) (left remains) {
	w.t.Helper()
	last := make(map[string]*kgo.Record)
	for _, r := range logtest.ReadCommitted(w.t, w.Cluster, log.EventsTopic(w.domain.Name)) {
		of, _, kind := log.ParseKey(r.Key)
		if of != root {
			continue
		}
		if kind == log.KeyPage && r.Value == nil && last[string(log.PageKey(root, 0))] == nil {
			left.before = true
		}
		last[string(r.Key)] = r
	}
	for _, r := range last {
		switch _, _, kind := log.ParseKey(r.Key); {
		case kind == log.KeyErased:
			left.erased = &angzarr.Erased{}
			if err := proto.Unmarshal(r.Value, left.erased); err != nil {
				w.t.Fatal(err)
			}
		case kind == log.KeySnapshot:
			left.snapshot = r.Value != nil
		case r.Value == nil:
			left.tombstones++
		default:
			left.pages++
		}
	}
	return left
}

// isErased checks that nothing is left of a root of so many pages, and that its
// owner says so.
func (w *world) isErased(root log.Root, pages int) {
	w.t.Helper()
	left := w.remains(root)
	if left.pages != 0 || left.snapshot || left.before || left.tombstones != pages ||
		left.erased.GetLastSequence() != uint32(pages) || left.erased.GetPagesLeft() != 0 || left.erased.GetReason() != "forget" {
		w.t.Errorf("%s: the log has %+v of %d pages", root, left, pages)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), bound)
	defer cancel()
	for what, ask := range map[string]func() (*angzarr.EventBook, error){
		"handle": func() (*angzarr.EventBook, error) { return w.handle(ctx, w.order(root, "after", "x")) },
		"again":  func() (*angzarr.EventBook, error) { return w.handle(ctx, w.order(root, "said 0", "x")) },
		"record": func() (*angzarr.EventBook, error) {
			return w.record(ctx, &angzarr.EventBook{Cover: w.cover(root), Pages: []*angzarr.EventPage{{Event: text("x")}}, CommandId: "r"})
		},
	} {
		if book, err := ask(); status.Code(err) != codes.FailedPrecondition || reasonOf(status.Convert(err)) != business.ReasonErased {
			w.t.Errorf("%s, %s: answered %v, %v", root, what, book, err)
		}
	}
}

// said has a root get pages, and a snapshot with the last one.
func (w *world) said(root log.Root, pages int) {
	w.t.Helper()
	w.must(w.order(root, "said 0", fmt.Sprintf("say %d x", pages-1)))
	w.must(w.order(root, "said 1", "snapshot"))
}

func TestErase(t *testing.T) {
	for name, shelved := range map[string]bool{"memory": false, "a shelf": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 2)
			with := withBooks(1) // books are read back
			if shelved {
				with = withShelf(t, redistest.Start(t), 1)
			}
			x := w.owner(serve(t, simple), with)
			called, polled, kept := w.root(0), w.root(1), w.root(0)
			for _, root := range []log.Root{called, polled, kept} {
				w.said(root, 4)
			}
			// Dead letters of theirs go too, and no others.
			var letters []*kgo.Record
			for _, root := range []log.Root{called, polled, kept} {
				r := w.recordOf(w.order(root, "bad", "panic"))
				w.put(r)
				letters = append(letters, r)
			}
			w.quiet()
			e := w.erase(called, "e1")
			if e.LastSequence != 4 || e.PagesLeft != 0 || e.Reason != "forget" {
				t.Errorf("it is answered with %v", e)
			}
			o := w.outcomes()
			w.put(&kgo.Record{
				Key: polled[:], Value: encoded(w.request(polled, "e2")), Partition: 1,
				Headers: []kgo.RecordHeader{header(log.HeaderKind, log.KindErasure)},
			})
			if got := o.of("e2"); got.Code != 0 || got.Cover == nil {
				t.Errorf("by the topic: %v", got)
			}
			w.isErased(called, 4)
			w.isErased(polled, 4)
			dead := w.deadLetters()
			for i, r := range letters {
				if stands := dead[source(r)].Value != nil; stands != (i == 2) {
					t.Errorf("the letter of root %d stands: %v", i, stands)
				}
			}
			// Again it is the same.
			if again := w.erase(called, "e3"); !proto.Equal(again, e) {
				t.Errorf("again it is %v", again)
			}
			if book := w.must(w.order(kept, "", "x")); book.Pages[0].GetNum() != 5 {
				t.Errorf("another root goes on with %v", book)
			}
			x.stop()
			w.owner(serve(t, simple), with)
			w.isErased(called, 4)
			w.isErased(polled, 4)
			w.quiet()
		})
	}
}

func TestEraseWhatCanNotBe(t *testing.T) {
	w := newWorld(t, 1)
	x := w.owner(serve(t, simple))
	never := w.root(0)
	_, err := x.Erase(t.Context(), w.request(never, "e"), "")
	if status.Code(err) != codes.NotFound {
		t.Errorf("a root that was never written: %v", err)
	}
	if left := w.remains(never); left.erased != nil {
		t.Errorf("the log has %+v", left)
	}
	o := w.outcomes()
	r := &kgo.Record{Key: never[:], Value: []byte("garbage"), Headers: []kgo.RecordHeader{header(log.HeaderKind, log.KindErasure)}}
	w.put(r)
	if got := o.of(source(r)); codes.Code(got.Code) != codes.InvalidArgument || !got.DeadLetter {
		t.Errorf("garbage: %v", got)
	}
	w.must(w.order(never, "", "x")) // it can still be written
}

// An erasure that takes several transactions is finished by whoever comes after
// its owner, whichever step that owner dies at, and whether or not anybody asks
// again.
func TestACrashAtEachStepOfAnErasure(t *testing.T) {
	const pages, atOnce = 10, 4 // three transactions
	for _, shelved := range []bool{false, true} {
		for n := int32(1); n <= 3; n++ {
			for _, key := range []kmsg.Key{kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
				for name, fate := range map[string]logtest.Fate{"before": logtest.CrashesBefore, "after": logtest.CrashesAfter} {
					t.Run(fmt.Sprintf("%s %s of transaction %d, shelf %v", name, key.Name(), n, shelved), func(t *testing.T) {
						w := newWorld(t, 1)
						with := func() option { return withBooks(1 << 20) }
						if shelved {
							address := redistest.Start(t)
							with = func() option { return withShelf(t, address, 1<<20) }
						}
						start := func() *worker {
							x := w.worker(serve(t, simple), with())
							x.SetEraseAtOnce(atOnce)
							x.run().ownsAll()
							return x
						}
						x := start()
						root, other := w.root(0), w.root(0)
						w.said(root, pages)
						w.said(other, 2)
						var count, step atomic.Int32
						x.wire.On(kmsg.EndTxn, func(kmsg.Request) logtest.Fate {
							count.Add(1)
							return logtest.Passes
						})
						x.wire.On(key, func(kmsg.Request) logtest.Fate {
							before := count.Load()
							if key == kmsg.EndTxn {
								before-- // which has counted it already
							}
							if before == n-1 && step.CompareAndSwap(0, 1) {
								return fate
							}
							return logtest.Passes
						})
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						go x.Erase(ctx, w.request(root, "e"), "")
						eventually(t, "the worker has crashed", x.wire.IsCut)
						cancel()
						x.crash()
						start()
						w.quiet()
						// What began is finished by itself; what did not is asked for again.
						began := w.remains(root).erased != nil
						if !began {
							w.erase(root, "e")
						}
						if n > 1 && !began {
							t.Error("its first transaction is gone")
						}
						w.isErased(root, pages)
						w.erase(root, "e")
						w.isErased(root, pages)
						if book := w.must(w.order(other, "", "x")); book.Pages[0].GetNum() != 3 {
							t.Errorf("another root goes on with %v", book)
						}
						w.quiet()
					})
				}
			}
		}
	}
}

// A request that came by the topic with a deadline, as a front door's do, is
// finished though that has passed when its owner dies.
func TestAnErasureThatOutlivesItsDeadline(t *testing.T) {
	w := newWorld(t, 1)
	x := w.worker(serve(t, simple))
	x.SetEraseAtOnce(2)
	x.run().ownsAll()
	root := w.root(0)
	w.said(root, 5)
	x.wire.On(kmsg.EndTxn, func(kmsg.Request) logtest.Fate { return logtest.CrashesAfter })
	at := time.Now().Add(2 * time.Second)
	w.put(&kgo.Record{Key: root[:], Value: encoded(w.request(root, "e")), Headers: []kgo.RecordHeader{
		header(log.HeaderKind, log.KindErasure), header(log.HeaderDeadline, at.UTC().Format(time.RFC3339Nano)),
	}})
	eventually(t, "the worker has crashed", x.wire.IsCut)
	x.crash()
	eventually(t, "the deadline has passed", func() bool { return time.Now().After(at) })
	w.owner(serve(t, simple))
	w.quiet()
	if w.remains(root).erased == nil {
		t.Fatal("the first transaction came after the deadline: the machine is too slow for this test")
	}
	w.isErased(root, 5)
}

// The partition goes to another worker between two transactions of an erasure.
func TestAnErasureThatIsHandedOver(t *testing.T) {
	w := newWorld(t, 1)
	x := w.worker(serve(t, simple))
	x.SetEraseAtOnce(2)
	x.run().ownsAll()
	root := w.root(0)
	w.said(root, 9)
	h := x.hold(kmsg.EndTxn)
	answer := make(chan error, 1)
	go func() {
		_, err := x.Erase(t.Context(), w.request(root, "e"), "")
		answer <- err
	}()
	await(t, "the first transaction is about to end", h.entered)
	w.start(serve(t, simple))
	go x.stop()
	close(h.released)
	if err := await(t, "an answer", answer); err != business.ErrNotOwner && err != nil {
		t.Errorf("the caller hears %v", err)
	}
	w.quiet()
	w.isErased(root, 9)
}

// Commands that wait behind an erasure are refused, and so is what comes again.
func TestCommandsBehindAnErasure(t *testing.T) {
	w := newWorld(t, 1)
	x := w.worker(serve(t, simple))
	x.SetEraseAtOnce(1)
	x.run().ownsAll()
	root := w.root(0)
	w.said(root, 3)
	h := x.hold(kmsg.EndTxn)
	erased := make(chan error, 1)
	go func() {
		_, err := x.Erase(t.Context(), w.request(root, "e"), "")
		erased <- err
	}()
	await(t, "the first transaction is about to end", h.entered)
	behind := x.goHandle(t.Context(), w.order(root, "behind", "x"))
	close(h.released)
	if err := await(t, "it is erased", erased); err != nil {
		t.Error(err)
	}
	if r := await(t, "an answer", behind); reasonOf(status.Convert(r.err)) != business.ReasonErased {
		t.Errorf("a command behind it: %v, %v", r.book, r.err)
	}
	w.quiet()
	w.isErased(root, 3)
}
