package business_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// gate is business logic that holds commands which say "hold", until it opens.
type gate struct {
	entered, open chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}, 1000), make(chan struct{})} }

func (g *gate) logic(t *testing.T) grpc.ClientConnInterface {
	return serve(t, func(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		if strings.HasPrefix(textOf(c.Command.Pages[0].Command), "hold") {
			g.entered <- struct{}{}
			select {
			case <-g.open:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return simple(ctx, c)
	})
}

// holding lets a worker's requests of a kind pass only once it is released.
type holding struct{ entered, released chan struct{} }

func (x *worker) hold(key kmsg.Key) *holding {
	h := &holding{make(chan struct{}, 1000), make(chan struct{})}
	x.wire.On(key, func(kmsg.Request) logtest.Fate {
		h.entered <- struct{}{}
		<-h.released
		return logtest.Passes
	})
	x.w.t.Cleanup(func() {
		select {
		case <-h.released:
		default:
			close(h.released)
		}
	})
	return h
}

// await is a channel that must give something in time.
func await[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(bound):
		t.Fatalf("after %v: not so: %s", bound, what)
	}
	return v
}

type result struct {
	book *angzarr.EventBook
	err  error
}

// goHandle calls without waiting.
func (x *worker) goHandle(ctx context.Context, c *angzarr.CommandBook) <-chan result {
	answer := make(chan result, 1)
	go func() {
		book, err := x.Handle(ctx, c, "")
		answer <- result{book, err}
	}()
	return answer
}

func TestACallerThatGivesUp(t *testing.T) {
	w := newWorld(t, 1)
	g := newGate()
	x := w.owner(g.logic(t))
	root := w.root(0)

	before, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Handle(before, w.order(root, "before", "x"), ""); status.Code(err) != codes.Canceled {
		t.Errorf("before it was taken in: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	deciding := x.goHandle(ctx, w.order(root, "deciding", "hold"))
	await(t, "logic is asked", g.entered)
	queued := x.goHandle(ctx, w.order(root, "queued", "x"))
	eventually(t, "both wait", func() bool { return x.Waiting() == 2 })
	cancel()
	for _, answer := range []<-chan result{deciding, queued} {
		if r := await(t, "the caller is let go", answer); status.Code(r.err) != codes.Canceled {
			t.Errorf("while it is decided, or waits for that: %v", r.err)
		}
	}

	late, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if r := await(t, "the caller is let go", x.goHandle(late, w.order(root, "late", "hold"))); status.Code(r.err) != codes.DeadlineExceeded {
		t.Errorf("when its deadline has passed: %v", r.err)
	}

	h := x.hold(kmsg.EndTxn)
	ctx, cancel = context.WithCancel(t.Context())
	committing := x.goHandle(ctx, w.order(root, "committing", "x"))
	await(t, "the transaction is about to end", h.entered)
	cancel()
	if r := await(t, "the caller is let go", committing); status.Code(r.err) != codes.Unavailable || !strings.Contains(r.err.Error(), "committing") {
		t.Errorf("while it is committed: %v", r.err)
	}
	close(h.released)
	if book := w.must(w.order(root, "committing", "x")); book.Pages[0].GetNum() != 1 {
		t.Errorf("its repeat led to %v", book)
	}
	w.quiet()
	if got := w.audit().roots[root]; len(got) != 1 {
		t.Errorf("the root has %d pages", len(got))
	}
}

// Business logic has answered, and before that is heard of the caller gives up.
func TestACallerThatGivesUpAtTheLastMoment(t *testing.T) {
	w := newWorld(t, 1)
	g := newGate()
	x := w.owner(g.logic(t))
	ctx, cancel := context.WithCancel(t.Context())
	answer := x.goHandle(ctx, w.order(w.root(0), "it", "hold"))
	await(t, "logic is asked", g.entered)
	let := x.Block()
	close(g.open)
	eventually(t, "its answer is there", func() bool { return x.Heard() > 0 })
	cancel()
	if r := await(t, "the caller is let go", answer); status.Code(r.err) != codes.Canceled {
		t.Errorf("it is told %v, %v", r.book, r.err)
	}
	let()
	w.quiet()
	if h := w.audit(); len(h.commands) != 0 {
		t.Error("it was applied although its caller knows that it was not")
	}
}

// A call may come before its partition is taken over. Whatever becomes of it,
// nothing else has to come for it to be answered.
func TestACallBeforeTheTakeover(t *testing.T) {
	w := newWorld(t, 1)
	before := w.owner(serve(t, simple))
	w.must(w.order(w.root(0), "first", "x"))
	before.stop()
	x := w.worker(serve(t, simple))
	reading, read := make(chan struct{}, 100), make(chan struct{})
	x.wire.On(kmsg.Fetch, func(req kmsg.Request) logtest.Fate {
		for _, topic := range req.(*kmsg.FetchRequest).Topics {
			if topic.TopicID != w.domain.CommandsID {
				reading <- struct{}{}
				<-read
			}
		}
		return logtest.Passes
	})
	x.run()
	await(t, "events are about to be read", reading)
	if !x.Owns(0) || x.Ready() != 0 {
		t.Fatal("the takeover is over")
	}
	late := w.order(w.root(0), "late", "x")
	late.Pages[0].Sequence = 5
	answer := x.goHandle(t.Context(), late)
	eventually(t, "it waits", func() bool { return x.Waiting() == 1 })
	close(read)
	if r := await(t, "an answer", answer); status.Code(r.err) != codes.Aborted {
		t.Errorf("it is told %v, %v", r.book, r.err)
	}
}

// What was polled under a claim that has ended is thrown away, though the
// partition came back: another may have handled it meanwhile.
func TestRecordsOfALostClaim(t *testing.T) {
	w := newWorld(t, 1)
	x := w.owner(serve(t, simple))
	root := w.root(0)
	r := log.FromClient(w.recordOf(w.order(root, "stale", "x")))
	r.Topic = log.CommandsTopic(w.domain.Name)
	x.Polled([]partitioning.Fetched{{Claim: &partitioning.Claim{Partition: 0}, Records: []log.Record{r}}})
	if left := x.Left(); left != "" {
		t.Errorf("it was taken in: %s", left)
	}
	o := w.outcomes()
	w.put(w.recordOf(w.order(root, "first", "x"))) // at the same offset
	if got := o.of("first"); got.FirstPage != 1 {
		t.Errorf("%v", got)
	}
	if h := w.audit(); len(h.commands) != 1 {
		t.Errorf("the log has %d commands", len(h.commands))
	}
}

func TestDeadlinesByTheTopic(t *testing.T) {
	w := newWorld(t, 1)
	g := newGate()
	x := w.owner(g.logic(t))
	o := w.outcomes()
	in := func(d time.Duration) kgo.RecordHeader {
		return header(log.HeaderDeadline, time.Now().Add(d).UTC().Format(time.RFC3339Nano))
	}
	root := w.root(0)
	hanging := w.recordOf(w.order(root, "hanging", "hold"), in(200*time.Millisecond))
	queued := w.recordOf(w.order(root, "queued", "x"), in(100*time.Millisecond))
	passed := w.recordOf(w.order(w.root(0), "passed", "x"), in(-time.Second))
	inTime := w.recordOf(w.order(w.root(0), "in time", "x"), in(time.Hour))
	w.put(hanging, queued, passed, inTime)
	for id, want := range map[string]codes.Code{
		"hanging": codes.DeadlineExceeded, "queued": codes.DeadlineExceeded, "passed": codes.DeadlineExceeded, "in time": codes.OK,
	} {
		if got := o.of(id); codes.Code(got.Code) != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	w.quiet()
	if letters := w.deadLetters(); len(letters) != 0 {
		t.Errorf("%d of them became dead letters", len(letters))
	}
	if h := w.audit(); len(h.commands) != 1 {
		t.Errorf("%d of them were applied", len(h.commands))
	}
	x.stop()
}

func TestReplies(t *testing.T) {
	w := newWorld(t, 1)
	if _, err := log.EnsureReplies(t.Context(), w.client, log.TopicSettings{Partitions: 2, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	replies := w.watch(log.RepliesTopic)
	w.owner(serve(t, simple))
	root := w.root(0)
	to := func(partition string) []kgo.RecordHeader {
		return []kgo.RecordHeader{header(log.HeaderReplyTo, partition), header(log.HeaderReplyTag, "tag "+partition)}
	}
	prefix := root.String() + " " // a real Kafka's topic is every test's
	put := func(id, said, partition string) {
		w.put(w.recordOf(w.order(root, prefix+id, said), to(partition)...))
	}
	put("accepted", "say 2 x", "1")
	put("refused", "refuse 5 no", "1")
	put("accepted", "say 2 x", "1")
	put("large", "say 400 "+strings.Repeat("x", 5000), "1")
	put("nobody's", "x", "999")
	put("last", "x", "0")
	of := func(id string, n int) []*kgo.Record {
		return replies.await("replies to "+id, n, func(r *kgo.Record) bool { return string(r.Key) == prefix+id })
	}
	for _, r := range of("accepted", 2) {
		o := outcomeOf(t, r)
		if r.Partition != 1 || o.Code != 0 || len(o.Book.GetPages()) != 2 || o.Book.Pages[1].GetNum() != 2 || o.FirstPage != 1 || o.LastPage != 2 {
			t.Errorf("accepted, and again: in partition %d, %v", r.Partition, o)
		}
		if tag := (&log.Record{Headers: log.FromClient(r).Headers}).Header(log.HeaderReplyTag); string(tag) != "tag 1" {
			t.Errorf("its tag is %q", tag)
		}
	}
	if o := outcomeOf(t, of("refused", 1)[0]); codes.Code(o.Code) != codes.NotFound || o.Message != "refuse 5 no" || o.Book != nil {
		t.Errorf("refused: %v", o)
	}
	if o := outcomeOf(t, of("large", 1)[0]); o.Code != 0 || o.Book != nil || o.FirstPage != 3 || o.LastPage != 402 {
		t.Errorf("large: pages %d to %d, code %d, its book is there: %v", o.FirstPage, o.LastPage, o.Code, o.Book != nil)
	}
	if r := of("last", 1)[0]; r.Partition != 0 {
		t.Errorf("a reply for partition 0 is in %d", r.Partition)
	}
	w.quiet()
	w.audit()
}

// More calls wait than may be asked at once when the partitions are lost.
func TestALossWhileMuchWaits(t *testing.T) {
	w := newWorld(t, 2)
	entered := make(chan struct{}, 1000)
	x := w.owner(serve(t, func(ctx context.Context, _ *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	const asked, calls = 100, 1000
	answers := make(chan error, calls)
	call := func(n int) {
		for i := range n {
			go func() {
				_, err := x.Handle(t.Context(), w.order(w.root(int32(i%2)), "", "x"), "")
				answers <- err
			}()
		}
	}
	call(asked)
	for range asked {
		await(t, "logic is asked", entered)
	}
	goOn := x.Saturate()
	call(calls - asked)
	eventually(t, "others wait to be asked", func() bool { return x.ToAsk() == calls-asked })
	x.LoseAll()
	goOn()
	for range calls {
		if err := await(t, "an answer", answers); err != business.ErrNotOwner {
			t.Fatalf("one is told %v", err)
		}
	}
	if left := x.Left(); left != "" {
		t.Errorf("left: %s", left)
	}
}

// A worker that is asked to stop commits what is decided, and answers all.
func TestAStopAnswersEveryone(t *testing.T) {
	w := newWorld(t, 2)
	g := newGate()
	x := w.owner(g.logic(t))
	var hung, fast []<-chan result
	for i := range 20 {
		hung = append(hung, x.goHandle(t.Context(), w.order(w.root(int32(i%2)), fmt.Sprint("hung ", i), "hold")))
	}
	for range 20 {
		await(t, "logic is asked", g.entered)
	}
	h := x.hold(kmsg.EndTxn)
	for i := range 20 {
		fast = append(fast, x.goHandle(t.Context(), w.order(w.root(int32(i%2)), fmt.Sprint("fast ", i), "x")))
	}
	await(t, "a transaction is about to end", h.entered)
	eventually(t, "all are decided", func() bool { return x.Decided() == 20 })
	stopped := make(chan struct{})
	go func() { x.stop(); close(stopped) }()
	eventually(t, "it takes no more", func() bool { return !x.Owns(0) })
	close(h.released)
	for i, answer := range fast {
		if r := await(t, "an answer", answer); r.err != nil {
			t.Errorf("fast %d: %v", i, r.err)
		}
	}
	for i, answer := range hung {
		if r := await(t, "an answer", answer); r.err != business.ErrNotOwner {
			t.Errorf("hung %d: %v", i, r.err)
		}
	}
	await(t, "the worker has ended", stopped)
	if _, err := x.Handle(t.Context(), w.order(w.root(0), "after", "x"), ""); err != business.ErrNotOwner {
		t.Errorf("after its end: %v", err)
	}
	if h := w.audit(); len(h.commands) != 20 {
		t.Errorf("the log has %d commands", len(h.commands))
	}
}
