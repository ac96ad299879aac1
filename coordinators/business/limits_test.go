package business_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc/codes"
)

func TestLimits(t *testing.T) {
	w := newWorld(t, 1)
	hold := make(chan struct{})
	logic := serve(t, func(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		if textOf(c.Command.Pages[0].Command) == "hold" {
			<-hold
		}
		return simple(ctx, c)
	})
	x := w.owner(logic, withLimits(200, 4<<20, 3))
	root := w.root(0)
	w.must(w.order(root, "a", "say 3 "+strings.Repeat("x", 100)))
	if st := x.refused(w.order(root, "b", "x")); st.Code() != codes.FailedPrecondition || reasonOf(st) != business.ReasonBookTooLarge || !strings.Contains(st.Message(), "snapshot") {
		t.Errorf("an open book over its limit: %v", st)
	}
	o := w.outcomes()
	r := w.recordOf(w.order(root, "c", "x"))
	w.put(r)
	if got := o.of("c"); codes.Code(got.Code) != codes.FailedPrecondition {
		t.Errorf("by the topic: %v", got)
	}
	if _, dead := w.deadLetters()[source(r)]; !dead {
		t.Error("by the topic it is no dead letter")
	}
	answers := make(chan error)
	for range 3 {
		go func() {
			_, err := x.Handle(t.Context(), w.order(w.root(0), "", "hold"), "")
			answers <- err
		}()
	}
	eventually(t, "three commands wait", func() bool { return x.Waiting() == 3 })
	if st := x.refused(w.order(root, "d", "x")); st.Code() != codes.ResourceExhausted || !strings.Contains(st.Message(), "limits.waiting") {
		t.Errorf("too many waiting: %v", st)
	}
	close(hold)
	for range 3 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

// Records are only read on once commands of other partitions have made room.
func TestAPartitionThatWaitsForRoom(t *testing.T) {
	w := newWorld(t, 2)
	hold := make(chan struct{})
	logic := serve(t, func(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		if textOf(c.Command.Pages[0].Command) == "hold" {
			<-hold
		}
		return simple(ctx, c)
	})
	x := w.owner(logic, withLimits(1<<20, 4<<20, 2))
	answers := make(chan error)
	for range 2 {
		go func() {
			_, err := x.Handle(t.Context(), w.order(w.root(0), "", "hold"), "")
			answers <- err
		}()
	}
	eventually(t, "two commands wait", func() bool { return x.Waiting() == 2 })
	o := w.outcomes()
	root := w.root(1)
	for _, id := range []string{"a", "b", "c"} {
		w.put(w.recordOf(w.order(root, id, "x")))
	}
	eventually(t, "records are not admitted", func() bool { return !strings.HasSuffix(x.Left(), " 0 not admitted") })
	close(hold)
	for range 2 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	for i, id := range []string{"a", "b", "c"} {
		if got := o.of(id); got.FirstPage != uint32(i+1) {
			t.Errorf("command %s: %v", id, got)
		}
	}
}

// incompressible is text that takes as much room in a batch as it has bytes.
func incompressible(n int) string {
	random := make([]byte, n/2)
	rand.Read(random)
	return hex.EncodeToString(random)
}

// limit sets max.message.bytes of a topic, as an operator may while workers run.
func (w *world) limit(topic string, bytes int) {
	w.t.Helper()
	admin := kadm.NewClient(w.client)
	answers, err := admin.AlterTopicConfigs(w.t.Context(), []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr(strconv.Itoa(bytes))},
	}, topic)
	if err == nil {
		_, err = answers.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// What a topic has no room for is found out by the broker's refusal, of a whole
// transaction. It concerns one command alone.
func TestTopicsThatTakeLessThanTheyDid(t *testing.T) {
	w := newWorld(t, 1)
	x := w.owner(serve(t, simple))
	w.limit(log.EventsTopic(w.domain.Name), 30_000)
	w.limit(log.DeadLettersTopic(w.domain.Name), 20_000)
	// Brokers take a moment to learn of it.
	eventually(t, "the limit is known", func() bool {
		r := &kgo.Record{Topic: log.DeadLettersTopic(w.domain.Name), Key: []byte("x"), Value: []byte(incompressible(40_000))}
		return w.client.ProduceSync(t.Context(), r).FirstErr() != nil
	})
	o := w.outcomes()
	called, put := w.root(0), w.root(0)
	records := []*kgo.Record{
		w.recordOf(w.order(put, "good", "x")),
		w.recordOf(w.order(put, "large", incompressible(100_000)), header("mine", "x")),
		{Key: put[:], Value: []byte(incompressible(100_000))},
		w.recordOf(w.order(put, "too", "x")),
	}
	w.put(records...)
	answers := make(chan error)
	go func() {
		_, err := x.Handle(t.Context(), w.order(called, "small", "x"), "")
		answers <- err
	}()
	if st := x.refused(w.order(called, "too large", incompressible(100_000))); st.Code() != codes.ResourceExhausted || !strings.Contains(st.Message(), "max.message.bytes") {
		t.Errorf("a page that is too large: %v", st)
	}
	if err := <-answers; err != nil {
		t.Error(err)
	}
	for _, id := range []string{"good", "too"} {
		if got := o.of(id); got.Code != 0 || got.LastPage == 0 {
			t.Errorf("command %s: %v", id, got)
		}
	}
	if got := o.of("large"); codes.Code(got.Code) != codes.ResourceExhausted {
		t.Errorf("the command that is too large: %v", got)
	}
	if got := o.of(source(records[2])); codes.Code(got.Code) != codes.InvalidArgument {
		t.Errorf("the record that is none: %v", got)
	}
	w.quiet()
	letters := w.deadLetters()
	for _, r := range records[1:3] {
		letter, dead := letters[source(r)]
		if !dead || len(letter.Value) > 0 || string(letter.Header(log.HeaderDeadCut)) != "true" || letter.Header("mine") != nil {
			t.Errorf("%s: a dead letter: %v, with %d bytes, %v", source(r), dead, len(letter.Value), letter.Headers)
		}
	}
	w.audit()
}
