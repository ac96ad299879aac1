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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// compensating is simple logic that answers a rejection with an event which says
// what it was told, or refuses to hear of one that says "deaf".
func compensating(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	told := &angzarr.RejectionNotification{}
	if c.Command.Pages[0].Command.UnmarshalTo(told) != nil {
		return simple(ctx, c)
	}
	if strings.Contains(told.Message, "deaf") {
		return nil, status.Error(codes.FailedPrecondition, "I don't want to know")
	}
	return &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: text(fmt.Sprintf("%s rejected %s of %s: %s, %s",
		told.Command.Cover.Domain, textOf(told.Command.Pages[0].Command), told.Saga, codes.Code(told.Code), told.Message))}}}, nil
}

// emitted is a command as a saga emits it, because of an event of another root.
func (w *world) emitted(root, cause log.Root, id, said string) *angzarr.CommandBook {
	c := w.order(root, id, said)
	c.SagaOrigin = &angzarr.SagaOrigin{Saga: "s", Cause: w.cover(cause), Sequence: 1, Hops: 2}
	return c
}

// inTopic counts the records of the commands topic.
func (w *world) inTopic() int {
	w.t.Helper()
	return len(logtest.ReadCommitted(w.t, w.Cluster, log.CommandsTopic(w.domain.Name)))
}

func TestARejectionComesBack(t *testing.T) {
	w := newWorld(t, 3)
	w.start(serve(t, compensating))
	o := w.outcomes()
	root, cause := w.root(0), w.root(2)
	w.put(w.recordOf(w.emitted(root, cause, "it", "refuse 9 no stock"), header(log.HeaderTraceparent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")))
	if got := o.of("it/rejected"); got.Code != 0 || got.FirstPage != 1 || got.CorrelationId != "for it" {
		t.Errorf("the notification's outcome: %v", got)
	}
	w.quiet()
	h := w.audit()
	want := w.domain.Name + " rejected refuse 9 no stock of s: FailedPrecondition, refuse 9 no stock"
	if says := h.says(cause); len(says) != 1 || says[0] != want {
		t.Fatalf("the aggregate says %q, want %q", says, want)
	}
	if by := h.roots[cause][0].Cause; by.Hops != 2 || by.CommandID != "it/rejected" || by.CorrelationID != "for it" || !strings.HasPrefix(by.Traceparent, "00-0af") {
		t.Errorf("its cause is %+v", by)
	}
	if n := len(h.roots[root]); n != 0 || len(w.deadLetters()) != 0 || w.inTopic() != 2 {
		t.Errorf("%d pages of the refusing root, %d dead letters, %d commands", n, len(w.deadLetters()), w.inTopic())
	}
}

// Who refuses to hear of a rejection ends it: a dead letter, and no more commands.
func TestARefusedNotification(t *testing.T) {
	w := newWorld(t, 2)
	w.start(serve(t, compensating))
	o := w.outcomes()
	w.put(w.recordOf(w.emitted(w.root(0), w.root(1), "it", "refuse 9 deaf")))
	if got := o.of("it/rejected"); codes.Code(got.Code) != codes.FailedPrecondition {
		t.Errorf("the notification's outcome: %v", got)
	}
	w.quiet()
	letters := w.deadLetters()
	if len(letters) != 1 || w.inTopic() != 2 {
		t.Fatalf("%d dead letters and %d commands, want 1 and 2", len(letters), w.inTopic())
	}
	for _, r := range letters {
		if got := string(r.Header(log.HeaderDeadMessage)); got != "I don't want to know" {
			t.Errorf("it says %q", got)
		}
	}
}

func TestWhoIsToldOfARejection(t *testing.T) {
	nowhere := &angzarr.SagaOrigin{Saga: "s", Cause: &angzarr.Cover{Domain: "nowhere", Root: &angzarr.UUID{Value: make([]byte, 16)}}}
	for _, tc := range []struct {
		name, said string
		change     func(*angzarr.CommandBook)
		headers    []kgo.RecordHeader
		told, dead int
	}{
		{name: "refused", said: "refuse 9 no", told: 1},
		{name: "a plain error", said: "refuse 2 no", told: 1, dead: 1},
		{name: "broken logic", said: "panic", dead: 1},
		{name: "another sequence", said: "x", change: func(c *angzarr.CommandBook) { c.Pages[0].Sequence = 7 }, told: 1},
		{name: "accepted", said: "x"},
		{name: "no saga's", said: "refuse 9 no", change: func(c *angzarr.CommandBook) { c.SagaOrigin = nil }},
		{name: "of nobody", said: "refuse 9 no", change: func(c *angzarr.CommandBook) { c.SagaOrigin.Cause = nil }},
		{name: "of an unknown domain", said: "refuse 9 no", change: func(c *angzarr.CommandBook) { c.SagaOrigin = nowhere }, dead: 1},
		{name: "somebody waits for the reply", said: "refuse 9 no", headers: []kgo.RecordHeader{header(log.HeaderReplyTo, "0")}},
		{name: "too large to be told", said: "refuse 9 " + strings.Repeat("x", 600<<10), told: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 1)
			if _, err := log.EnsureReplies(t.Context(), w.client, log.TopicSettings{Partitions: 2, ReplicationFactor: 1}); err != nil {
				t.Fatal(err)
			}
			w.start(serve(t, compensating))
			c := w.emitted(w.root(0), w.root(0), "it", tc.said)
			if tc.change != nil {
				tc.change(c)
			}
			w.put(w.recordOf(c, tc.headers...))
			w.quiet()
			w.quiet() // what it led to
			if told := w.inTopic() - 1; told != tc.told {
				t.Errorf("%d were told, want %d", told, tc.told)
			}
			if dead := len(w.deadLetters()); dead != tc.dead {
				t.Errorf("%d dead letters, want %d", dead, tc.dead)
			}
			if pages := len(w.audit().commands["it/rejected"]); pages != tc.told {
				t.Errorf("the notification led to %d pages", pages)
			}
		})
	}
}

// A broken command of a saga is kept, and nobody is told. Replayed, it is refused:
// then its cause is told, once, although an operator waits for the reply.
func TestAReplayedRejectionIsTold(t *testing.T) {
	w := newWorld(t, 2)
	if _, err := log.EnsureReplies(t.Context(), w.client, log.TopicSettings{Partitions: 2, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	var mended atomic.Bool
	w.start(serve(t, func(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		if c.Command.CommandId == "it" && !mended.Load() {
			return nil, status.Error(codes.Internal, "it broke")
		}
		return compensating(ctx, c)
	}))
	root, cause := w.root(0), w.root(1)
	r := w.recordOf(w.emitted(root, cause, "it", "refuse 9 no stock"))
	w.put(r)
	w.quiet()
	letter, stands := w.letter(r)
	if !stands || w.inTopic() != 1 {
		t.Fatalf("it is a letter: %v; %d commands are in the topic", stands, w.inTopic())
	}
	// Its cause still holds: it comes back, and still nobody is told.
	w.replay(letter)
	if letter, stands = w.letter(r); !stands || letter.Attempts != 2 || w.inTopic() != 2 {
		t.Errorf("after a replay it stands: %v, after %d attempts; %d commands are in the topic", stands, letter.Attempts, w.inTopic())
	}
	mended.Store(true)
	again := letter.Replay()
	record := again.ToClient()
	record.Headers = append(record.Headers, header(log.HeaderReplyTo, "0"))
	w.put(record)
	w.quiet()
	w.quiet() // what it led to
	if _, stands := w.letter(r); stands {
		t.Error("it was refused, and stands")
	}
	if says := w.audit().says(cause); len(says) != 1 || !strings.Contains(says[0], "rejected refuse 9 no stock of s") {
		t.Errorf("the aggregate says %q", says)
	}
	if n := w.inTopic(); n != 4 {
		t.Errorf("%d commands are in the topic, want 4", n)
	}
}

// A rejection is told once, whatever dies while it is recorded.
func TestARejectionIsToldOnce(t *testing.T) {
	for _, key := range steps {
		for name, fate := range map[string]logtest.Fate{"before": logtest.CrashesBefore, "after": logtest.CrashesAfter} {
			t.Run(name+" "+key.Name(), func(t *testing.T) {
				w := newWorld(t, 1)
				x := w.owner(serve(t, compensating), with(key))
				w.must(w.order(w.root(0), "first", "x")) // it has a producer
				x.wire.On(key, func(kmsg.Request) logtest.Fate { return fate })
				w.put(w.recordOf(w.emitted(w.root(0), w.root(0), "it", "refuse 9 no")))
				eventually(t, "the worker has crashed", x.wire.IsCut)
				x.crash()
				w.owner(serve(t, compensating))
				w.quiet()
				w.quiet()
				if n := w.inTopic(); n != 2 {
					t.Errorf("%d commands are in the topic, want 2", n)
				}
				w.outcomes().of("it")
				if pages := w.audit().commands["it/rejected"]; len(pages) != 1 {
					t.Errorf("the aggregate was told %d times", len(pages))
				}
			})
		}
	}
}
