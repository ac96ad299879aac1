package business_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// brittle is business logic that breaks on what says "x", until it is mended.
type brittle struct{ mended, refuses atomic.Bool }

func (b *brittle) logic(t *testing.T) grpc.ClientConnInterface {
	return serve(t, func(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		switch {
		case b.refuses.Load():
			return nil, status.Error(codes.FailedPrecondition, "no")
		case !b.mended.Load() && strings.HasPrefix(textOf(c.Command.Pages[0].Command), "x"):
			return nil, status.Error(codes.Internal, "it broke")
		}
		return simple(ctx, c)
	})
}

// letter is the dead letter of a record, and how many records speak of it.
func (w *world) letter(r *kgo.Record) (letter log.DeadLetter, stands bool) {
	w.t.Helper()
	found, ok := w.deadLetters()[source(r)]
	if !ok {
		return letter, false
	}
	letter, err := log.DecodeLetter(&found)
	return letter, err == nil
}

// replay writes a letter's record again, and waits until that is finished.
func (w *world) replay(l log.DeadLetter) {
	w.t.Helper()
	r := l.Replay()
	w.put(r.ToClient())
	w.quiet()
}

func TestReplays(t *testing.T) {
	w := newWorld(t, 2)
	b := &brittle{}
	w.owner(b.logic(t))
	root := w.root(1)
	w.must(w.order(root, "before", "say 2 y"))
	without := w.recordOf(w.order(root, "", "x without an id"), header("mine", "kept"))
	with := w.recordOf(w.order(root, "id", "x with an id"))
	w.put(without, with)
	w.quiet()

	first, _ := w.letter(without)
	if first.Attempts != 1 || first.NextPage != 3 || first.Root != root || first.CommandID != source(without) || first.Cause != "Internal" ||
		string(first.Key) != string(root[:]) || string(first.Value) != string(without.Value) || len(first.Headers) != 1 {
		t.Fatalf("the letter is %+v", first)
	}
	// Its cause still holds: it comes back, once, with an attempt more.
	for attempts := 2; attempts < 4; attempts++ {
		before := len(w.deadLetters())
		l, _ := w.letter(without)
		w.replay(l)
		again, stands := w.letter(without)
		if !stands || again.Attempts != attempts || again.CommandID != first.CommandID || string(again.Value) != string(first.Value) || len(again.Headers) != 2 {
			t.Errorf("after %d attempts it is %+v (%v)", attempts, again, stands)
		}
		if n := len(w.deadLetters()); n != before {
			t.Errorf("%d letters became %d", before, n)
		}
	}
	// Mended, it is applied under its first id, and done with.
	b.mended.Store(true)
	l, _ := w.letter(without)
	w.replay(l)
	if _, stands := w.letter(without); stands {
		t.Error("it was applied, and stands")
	}
	// Replayed once more it is a repeat.
	w.replay(l)
	if _, stands := w.letter(without); stands {
		t.Error("a repeat brought it back")
	}
	// Applied meanwhile by another way, a replay is a repeat too.
	w.must(w.order(root, "id", "x with an id"))
	l, _ = w.letter(with)
	w.replay(l)
	if _, stands := w.letter(with); stands {
		t.Error("what was applied meanwhile stands")
	}
	h := w.audit()
	if got := strings.Join(h.says(root), ", "); got != "say 2 y, say 2 y, x without an id, x with an id" {
		t.Errorf("the log says %s", got)
	}
	if pages := h.commands[source(without)]; len(pages) != 1 {
		t.Errorf("its pages have another id: %v", h.commands)
	}
}

// A refusal is an answer: the letter is done with.
func TestAReplayThatIsRefused(t *testing.T) {
	w := newWorld(t, 1)
	b := &brittle{}
	w.owner(b.logic(t))
	o := w.outcomes()
	r := w.recordOf(w.order(w.root(0), "id", "x"))
	w.put(r)
	if got := o.of("id"); !got.DeadLetter {
		t.Errorf("its outcome is %v", got)
	}
	w.quiet()
	b.refuses.Store(true)
	l, _ := w.letter(r)
	w.replay(l)
	if _, stands := w.letter(r); stands {
		t.Error("it was refused, and stands")
	}
}

// What can't be read stays a letter, and nothing else is taken for one.
func TestReplaysThatAreNone(t *testing.T) {
	w := newWorld(t, 2)
	w.owner(serve(t, simple))
	garbage := &kgo.Record{Value: []byte("garbage"), Headers: []kgo.RecordHeader{header("mine", "kept")}}
	none := &kgo.Record{Key: []byte("key")}
	w.put(garbage, none)
	w.quiet()
	for _, r := range []*kgo.Record{garbage, none} {
		l, stands := w.letter(r)
		if !stands || string(l.Key) != string(r.Key) || (l.Value == nil) != (r.Value == nil) {
			t.Errorf("the letter is %+v", l)
		}
		w.replay(l)
		if again, stands := w.letter(r); !stands || again.Attempts != 2 {
			t.Errorf("again it is %+v (%v)", again, stands)
		}
	}
	topic := log.CommandsTopic(w.domain.Name)
	for _, of := range []string{"garbage", "other/0/0", topic + "/99/0", topic + "/0/0/angzarr.saga.s"} {
		w.put(w.recordOf(w.order(w.root(0), "of "+of, "x"), header(log.HeaderReplayOf, of)))
	}
	w.quiet()
	if n := len(w.deadLetters()); n != 2 {
		t.Errorf("there are %d letters, or tombstones of some", n)
	}
	if h := w.audit(); len(h.commands) != 4 {
		t.Errorf("%d commands were applied", len(h.commands))
	}
}

// The worker crashes before and after each step of the commit that is done with a
// letter, or leaves it again: nothing is lost, and nothing is done twice.
func TestACrashAtEachStepOfAReplay(t *testing.T) {
	for _, mended := range []bool{true, false} {
		for _, key := range steps {
			for name, fate := range map[string]logtest.Fate{"before": logtest.CrashesBefore, "after": logtest.CrashesAfter} {
				t.Run(fmt.Sprintf("%s %s, mended %v", name, key.Name(), mended), func(t *testing.T) {
					w := newWorld(t, 1)
					b := &brittle{}
					x := w.owner(b.logic(t), with(key))
					root := w.root(0)
					r := w.recordOf(w.order(root, "id", "x"))
					w.put(r)
					w.quiet()
					l, _ := w.letter(r)
					b.mended.Store(mended)
					x.wire.On(key, func(kmsg.Request) logtest.Fate { return fate })
					again := l.Replay()
					w.put(again.ToClient())
					eventually(t, "the worker has crashed", x.wire.IsCut)
					x.crash()
					w.owner(b.logic(t))
					w.quiet()
					l, stands := w.letter(r)
					if pages := len(w.audit().roots[root]); stands == mended || mended && pages != 1 || !mended && (l.Attempts != 2 || pages != 0) {
						t.Errorf("it stands: %v, after %d attempts, with %d pages", stands, l.Attempts, pages)
					}
				})
			}
		}
	}
}
