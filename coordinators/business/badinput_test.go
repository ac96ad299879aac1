package business_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// badRecords are what should not be in a commands topic. Each is accounted for:
// it is a dead letter with an outcome, or handled where it belongs.
func (w *world) badRecords() map[string]*kgo.Record {
	root := w.root(0)
	book := func(spoil func(*angzarr.CommandBook)) *kgo.Record {
		c := w.order(root, "", "x")
		c.CorrelationId = ""
		spoil(c)
		return &kgo.Record{Key: root[:], Value: encoded(c)}
	}
	ofRoot := func(n int) *kgo.Record {
		return book(func(c *angzarr.CommandBook) { c.Cover.Root.Value = make([]byte, n) })
	}
	return map[string]*kgo.Record{
		"garbage":                  {Key: root[:], Value: []byte("garbage")},
		"an empty value":           {Key: root[:], Value: []byte{}},
		"no value":                 {Key: root[:]},
		"nothing at all":           {},
		"no cover":                 book(func(c *angzarr.CommandBook) { c.Cover = nil }),
		"no domain":                book(func(c *angzarr.CommandBook) { c.Cover.Domain = "" }),
		"another domain":           book(func(c *angzarr.CommandBook) { c.Cover.Domain = "other" }),
		"a domain that fills it":   book(func(c *angzarr.CommandBook) { c.Cover.Domain = strings.Repeat("\x01", 900<<10) }),
		"no pages":                 book(func(c *angzarr.CommandBook) { c.Pages = nil }),
		"no command in a page":     book(func(c *angzarr.CommandBook) { c.Pages[0].Command = nil }),
		"a root of 0 bytes":        ofRoot(0),
		"a root of 15 bytes":       ofRoot(15),
		"a root of 17 bytes":       ofRoot(17),
		"an id that fills it":      book(func(c *angzarr.CommandBook) { c.CommandId = strings.Repeat("x", 900<<10) }),
		"events that are commands": {Key: root[:], Value: encoded(w.order(root, "", "x")), Headers: []kgo.RecordHeader{header(log.HeaderKind, log.KindEventBook)}},
		"garbage with headers that are no text": {Value: []byte("garbage"), Headers: []kgo.RecordHeader{
			header(log.HeaderCommandID, "\xff\xfe"), header(log.HeaderCorrelationID, "\xff"), header(log.HeaderTraceparent, "\x00"), header("mine", "\xff")}},
		"garbage near the limit of the topic": {Value: bytes.Repeat([]byte{0xff}, 1<<20-100)},
	}
}

func TestBadRecords(t *testing.T) {
	w := newWorld(t, 2)
	x := w.owner(serve(t, simple))
	o := w.outcomes()
	bad := w.badRecords()
	good := w.root(0)
	n := 0
	for _, r := range bad {
		w.put(r)
		n++
		w.put(w.recordOf(w.order(good, fmt.Sprint("good ", n), "x")))
	}
	for name, r := range bad {
		if got := o.of(source(r)); codes.Code(got.Code) != codes.InvalidArgument || got.Cover != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	for i := range n {
		if got := o.of(fmt.Sprint("good ", i+1)); got.FirstPage != uint32(i+1) {
			t.Errorf("good command %d: %v", i, got)
		}
	}
	w.quiet()
	x.stop()
	letters := w.deadLetters()
	for name, r := range bad {
		letter, dead := letters[source(r)]
		if !dead || string(letter.Header(log.HeaderDeadCause)) != codes.InvalidArgument.String() {
			t.Errorf("%s: a dead letter: %v, %v", name, dead, letter.Headers)
			continue
		}
		if cut := letter.Header(log.HeaderDeadCut) != nil; !bytes.Equal(letter.Value, r.Value) && !cut {
			t.Errorf("%s: the dead letter has %d bytes of %d", name, len(letter.Value), len(r.Value))
		}
	}
	if len(letters) != len(bad) {
		t.Errorf("%d dead letters of %d bad records", len(letters), len(bad))
	}
	if h := w.audit(); len(h.roots) != 1 || len(h.roots[good]) != n {
		t.Errorf("the log has %d roots, %d pages of the good one", len(h.roots), len(h.roots[good]))
	}
}

// What lies in the wrong partition is sent on with the id that it had, and what
// has the wrong key is told by its book.
func TestMisroutedRecords(t *testing.T) {
	w := newWorld(t, 3)
	w.owner(serve(t, simple))
	o := w.outcomes()
	root, other := w.root(1), w.root(2)
	misrouted := func(id string, headers ...kgo.RecordHeader) *kgo.Record {
		r := w.recordOf(w.order(root, id, "x"), headers...)
		r.Partition = 2
		return r
	}
	withID := misrouted("a")
	without := misrouted("")
	large := misrouted("") // so much that there is no room for the id that it is sent on with
	for n := 1<<20 - 100; ; n-- {
		large.Value = encoded(w.order(root, "", strings.Repeat("x", n)))
		if size := (&log.Record{Key: large.Key, Value: large.Value}).Size(); size <= 1<<20-80 {
			break
		}
	}
	nullKey, foreignKey := w.recordOf(w.order(root, "null key", "x")), w.recordOf(w.order(root, "foreign key", "x"))
	nullKey.Key, foreignKey.Key = nil, other[:]
	for _, r := range []*kgo.Record{withID, without, nullKey, foreignKey, large} {
		w.put(r)
	}
	for _, id := range []string{"a", source(without), "null key", "foreign key", source(large)} {
		got := o.of(id)
		if id == source(large) {
			if codes.Code(got.Code) != codes.ResourceExhausted {
				t.Errorf("what can't be sent on: %v", got)
			}
			continue
		}
		if got.Code != 0 || got.FirstPage == 0 {
			t.Errorf("%s: %v", id, got)
		}
	}
	w.quiet()
	h := w.audit()
	if len(h.roots) != 1 {
		t.Errorf("the log has %d roots", len(h.roots))
	}
	for _, id := range []string{"a", source(without)} {
		p := h.commands[id][0]
		if partition := strings.Split(p.Cause.Source, "/")[1]; partition != fmt.Sprint(partitioning.Of(root, 3)) {
			t.Errorf("%s was handled in partition %s", id, partition)
		}
	}
}

func TestLogicThatComesLate(t *testing.T) {
	w := newWorld(t, 1)
	s := newServer(t)
	x := w.owner(s.conn())
	o := w.outcomes()
	root := w.root(0)
	w.put(w.recordOf(w.order(w.root(0), "topic", "x")))
	answers := make(chan error)
	go func() {
		_, err := x.Handle(t.Context(), w.order(root, "call", "x"), "")
		answers <- err
	}()
	eventually(t, "both wait", func() bool { return x.Waiting() == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := x.Handle(ctx, w.order(w.root(0), "", "x"), ""); status.Code(err) != codes.Unavailable {
		t.Errorf("a caller whose deadline passes gets %v", err)
	}
	s.begin(simple)
	if err := <-answers; err != nil {
		t.Error(err)
	}
	if got := o.of("topic"); got.FirstPage != 1 {
		t.Errorf("by the topic: %v", got)
	}
}

func TestOverloadedLogic(t *testing.T) {
	w := newWorld(t, 1)
	var mu sync.Mutex
	asked := make(map[string]int)
	x := w.owner(serve(t, func(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		said := textOf(c.Command.Pages[0].Command)
		mu.Lock()
		defer mu.Unlock()
		asked[said]++
		if said == "never" || asked[said] < 4 {
			return nil, status.Error(codes.ResourceExhausted, "too much to do")
		}
		return simple(ctx, c)
	}))
	w.must(w.order(w.root(0), "call", "call"))
	o := w.outcomes()
	w.put(w.recordOf(w.order(w.root(0), "topic", "topic")))
	if got := o.of("topic"); got.Code != 0 {
		t.Errorf("by the topic: %v", got)
	}
	deadline := header(log.HeaderDeadline, time.Now().Add(300*time.Millisecond).UTC().Format(time.RFC3339Nano))
	r := w.recordOf(w.order(w.root(0), "bounded", "never"), deadline)
	w.put(r)
	if got := o.of("bounded"); codes.Code(got.Code) != codes.Unavailable {
		t.Errorf("by the topic, with a deadline: %v", got)
	}
	if _, dead := w.deadLetters()[source(r)]; dead {
		t.Error("what nobody waits for any more became a dead letter")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := x.Handle(ctx, w.order(w.root(0), "", "never"), ""); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "too much to do") {
		t.Errorf("a caller whose deadline passes gets %v", err)
	}
}

// Business logic goes away and comes back while there is work.
func TestLogicThatRestarts(t *testing.T) {
	w := newWorld(t, 2)
	s := newServer(t)
	s.begin(simple)
	w.owner(s.conn())
	const roots, each = 16, 12
	answers := make(chan error)
	var done atomic.Int32
	for i := range roots {
		root := w.root(int32(i % 2))
		go func() {
			var err error
			for n := 0; n < each && err == nil; n++ {
				id := fmt.Sprint(root, n)
				_, err = w.handle(t.Context(), w.order(root, id, "x"))
				w.put(w.recordOf(w.order(root, "t"+id, "x")))
				done.Add(1)
			}
			answers <- err
		}()
	}
	for i := range int32(3) {
		eventually(t, "some more is done", func() bool { return done.Load() > (i+1)*roots*each/5 })
		s.end()
		s.begin(simple)
	}
	for range roots {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	w.quiet()
	h := w.audit()
	if len(h.commands) != 2*roots*each {
		t.Errorf("the log has %d commands, want %d", len(h.commands), 2*roots*each)
	}
	if n := len(w.deadLetters()); n != 0 {
		t.Errorf("%d good commands became dead letters", n)
	}
}
