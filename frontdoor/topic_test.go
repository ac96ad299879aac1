package frontdoor

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// owner is a hand that answers the copies of commands as it likes.
type owner struct {
	*world
	copies chan *log.Record
}

// hand reads the commands topic in a worker's place.
func (w *world) hand() *owner {
	o := &owner{w, make(chan *log.Record, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	w.Cleanup(cancel)
	for p := range w.domain.Partitions {
		go w.broker.Cluster.Follow(ctx, log.CommandsTopic(w.domain.Name), p, 0, func(r *log.Record) { o.copies <- r })
	}
	return o
}

func (o *owner) next() *log.Record {
	o.Helper()
	select {
	case r := <-o.copies:
		return r
	case <-time.After(20 * time.Second):
		o.Fatal("no copy was written within 20 s")
		return nil
	}
}

// reply answers a copy with bytes.
func (o *owner) reply(to *log.Record, partition int32, value []byte) {
	o.Helper()
	r := &log.Record{
		Topic: log.RepliesTopic, Partition: partition,
		Key: to.Header(log.HeaderCommandID), Value: value,
		Headers: []log.Header{{Key: log.HeaderReplyTag, Value: to.Header(log.HeaderReplyTag)}},
	}
	if err := o.writer.Write(o.Context(), r); err != nil {
		o.Error(err)
	}
}

func outcome(code codes.Code, message string) []byte {
	o := &angzarr.Outcome{Code: int32(code), Message: message}
	if code == codes.OK {
		o.Book = &angzarr.EventBook{Pages: []*angzarr.EventPage{{Sequence: &angzarr.EventPage_Num{Num: 1}, Event: payload(message)}}}
	}
	b, err := proto.Marshal(o)
	if err != nil {
		panic(err)
	}
	return b
}

// result is what a call came back with.
type result struct {
	response *angzarr.SynchronousProcessingResponse
	err      error
}

func (w *world) call(ctx context.Context, d *Door, book *angzarr.CommandBook) <-chan result {
	done := make(chan result, 1)
	go func() {
		response, err := d.Handle(ctx, book)
		done <- result{response, err}
	}()
	return done
}

// A reply that was lost is asked for again. What the owner says to an earlier
// copy is not the last word, unless it is yes.
func TestCopies(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		play func(*owner, *Door)
		code codes.Code
		says string
	}{
		"a refusal of the last copy": {func(o *owner, d *Door) {
			o.next()
			o.reply(o.next(), d.c.Topic.partition, outcome(codes.NotFound, "refused"))
		}, codes.NotFound, "refused"},
		"a refusal of the copy before the last": {func(o *owner, d *Door) {
			first, second := o.next(), o.next()
			o.reply(first, d.c.Topic.partition, outcome(codes.NotFound, "refused"))
			o.reply(second, d.c.Topic.partition, outcome(codes.OK, "done"))
		}, codes.OK, "1:done "},
		"yes to the first of two": {func(o *owner, d *Door) {
			first := o.next()
			o.next()
			o.reply(first, d.c.Topic.partition, outcome(codes.OK, "done"))
		}, codes.OK, "1:done "},
		"the deadline of the second, which says nothing of the first": {func(o *owner, d *Door) {
			o.next()
			o.reply(o.next(), d.c.Topic.partition, outcome(codes.DeadlineExceeded, "late"))
		}, codes.Unavailable, "safe to repeat it with command_id"},
		"the deadline of the only one": {func(o *owner, d *Door) {
			o.reply(o.next(), d.c.Topic.partition, outcome(codes.DeadlineExceeded, "late"))
		}, codes.DeadlineExceeded, "late"},
		"garbage, then an answer": {func(o *owner, d *Door) {
			o.reply(o.next(), d.c.Topic.partition, []byte("\xff\xff garbage"))
			o.reply(o.next(), d.c.Topic.partition, outcome(codes.OK, "done"))
		}, codes.OK, "1:done "},
		"others' replies, then an answer": {func(o *owner, d *Door) {
			mine := o.next()
			for _, tag := range []string{"", "x", "x/1", uuid.NewString() + "/1", string(mine.Header(log.HeaderReplyTag)) + "0"} {
				others := &log.Record{Headers: []log.Header{
					{Key: log.HeaderCommandID, Value: mine.Header(log.HeaderCommandID)},
					{Key: log.HeaderReplyTag, Value: []byte(tag)},
				}}
				o.reply(others, d.c.Topic.partition, outcome(codes.Internal, "another's"))
			}
			o.reply(mine, d.c.Topic.partition, outcome(codes.OK, "done"))
		}, codes.OK, "1:done "},
		"an answer a hundred times": {func(o *owner, d *Door) {
			mine := o.next()
			for range 100 {
				o.reply(mine, d.c.Topic.partition, outcome(codes.OK, "done"))
			}
		}, codes.OK, "1:done "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, echo)
			door, o := w.door(nil), w.hand()
			door.c.Topic.patience = 300 * time.Millisecond
			done := w.call(w.within(20*time.Second), door, w.command(uuid.New(), "id", "x"))
			tc.play(o, door)
			got := <-done
			st := wantCode(t, got.err, tc.code)
			if says := st.Message() + said(got.response); !strings.Contains(says, tc.says) {
				t.Errorf("answered %q, want %q", says, tc.says)
			}
			if n := len(door.c.Topic.waiting.by); n > 0 {
				t.Errorf("%d are still waited for", n)
			}
			// The reader of replies is still there for the next one.
			done = w.call(w.within(20*time.Second), door, w.command(uuid.New(), "after", "x"))
			for next := o.next(); ; next = o.next() {
				if string(next.Header(log.HeaderCommandID)) == "after" {
					o.reply(next, door.c.Topic.partition, outcome(codes.OK, "done"))
					break
				}
			}
			if got := <-done; got.err != nil {
				t.Error(got.err)
			}
		})
	}
}

// Nobody answers: the caller hears in time that it is in doubt, by which id to
// ask again, and nothing of it is left at the door.
func TestNoReply(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	door := w.door(nil)
	var err error
	for tries := 1; ; tries++ {
		ctx := w.within(600 * time.Millisecond)
		if _, err = door.Handle(ctx, w.command(uuid.New(), "the-id", "x")); ctx.Err() == nil {
			break
		}
		if tries == 5 { // a busy machine may be late, but not each time
			t.Fatal("the answer came too late to be heard")
		}
	}
	if st := wantCode(t, err, codes.Unavailable); !strings.Contains(st.Message(), `"the-id"`) {
		t.Errorf("%q does not name the id", st.Message())
	}
	if n := len(door.c.Topic.waiting.by); n > 0 {
		t.Errorf("%d are still waited for", n)
	}
}

// Who waits without a deadline has the command written again less and less
// often, and stops it by hanging up.
func TestCallerWithoutDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	door, o := w.door(nil), w.hand()
	door.c.Topic.patience = 50 * time.Millisecond
	ctx, hangUp := context.WithCancel(t.Context())
	begun := time.Now()
	done := w.call(ctx, door, w.command(uuid.New(), "id", "x"))
	first := o.next()
	for range 3 {
		again := o.next()
		if string(again.Value) != string(first.Value) || string(again.Header(log.HeaderCommandID)) != "id" {
			t.Error("a copy differs from the first one")
		}
		if again.Header(log.HeaderDeadline) != nil {
			t.Error("a deadline was made up")
		}
	}
	if took := time.Since(begun); took < (50+100+200)*time.Millisecond {
		t.Errorf("the fourth copy was written after %v already", took)
	}
	hangUp()
	wantCode(t, (<-done).err, codes.Unavailable)
	if n := len(door.c.Topic.waiting.by); n > 0 {
		t.Errorf("%d are still waited for", n)
	}
}

// A deadline that has passed at the door leaves nothing in the topic.
func TestTooLateToBegin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	door := w.door(nil)
	ctx, cancel := context.WithCancel(t.Context())
	if _, _, err := w.domains.Partitions(ctx, w.domain.Name); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err := door.Handle(ctx, w.command(uuid.New(), "id", "x"))
	wantCode(t, err, codes.Canceled)
	if records := logtest.ReadCommitted(t, w.broker.Cluster, log.CommandsTopic(w.domain.Name)); len(records) > 0 {
		t.Errorf("%d copies were written", len(records))
	}
}

// A topic that takes less than the door lets in says so itself.
func TestTopicTakesLess(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	b.CreateTopic(t, log.CommandsTopic(b.Domain("door")), 4, "cleanup.policy", "delete", "max.message.bytes", "10000", "retention.ms", "3600000")
	w := newWorldOn(t, b, echo)
	theirs, ours := w.door(nil), w.door(nil)
	ours.c.TopicLimits = map[string]int32{w.domain.Name: w.domain.CommandsMaxBytes}
	for whose, door := range map[string]*Door{"another process's": theirs, "this process's": ours} {
		_, err := door.Handle(w.within(10*time.Second), w.command(uuid.New(), "id", random(20_000)))
		st := wantCode(t, err, codes.ResourceExhausted)
		for _, name := range []string{"max.message.bytes", log.CommandsTopic(w.domain.Name)} {
			if !strings.Contains(st.Message(), name) {
				t.Errorf("%s domain: %q does not name %s", whose, st.Message(), name)
			}
		}
	}
	if commands := logtest.ReadCommitted(t, w.broker.Cluster, log.CommandsTopic(w.domain.Name)); len(commands) > 0 {
		t.Errorf("%d commands were written", len(commands))
	}
}

// random is text that does not get smaller by compression.
func random(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(uuid.NewString())
	}
	return b.String()
}

// A domain that is deleted is NOT_FOUND soon, and one that is made is found.
func TestDomainsComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	worker, stop := w.worker(partitioning.NewIdentity(""))
	w.owns(worker)
	door := w.door(nil)
	if _, err := door.Handle(w.within(10*time.Second), w.command(uuid.New(), "", "x")); err != nil {
		t.Fatal(err)
	}
	stop()
	admin := kadm.NewClient(w.broker.Client(t))
	topics := []string{log.CommandsTopic(w.domain.Name), log.EventsTopic(w.domain.Name)}
	if deleted, err := admin.DeleteTopics(t.Context(), topics...); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	w.until("the domain is NOT_FOUND", func() bool {
		_, err := door.Handle(w.within(15*time.Second), w.command(uuid.New(), "", "x"))
		return status.Code(err) == codes.NotFound
	})

	made := w.broker.Domain("made")
	book := w.command(uuid.New(), "", "x")
	book.Cover.Domain = made
	_, err := door.Handle(w.within(5*time.Second), book)
	if st := wantCode(t, err, codes.NotFound); !strings.Contains(st.Message(), made) {
		t.Errorf("%q does not name the domain", st.Message())
	}
	if _, err := w.admin.EnsureDomain(t.Context(), made, log.TopicSettings{Partitions: 1, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	w.until("the new domain is found", func() bool {
		_, err := door.Handle(w.within(300*time.Millisecond), book)
		return status.Code(err) == codes.Unavailable // it has no owner
	})
}

// A copy that may stand in the topic is waited for there: whatever the owner said
// directly, the copy could belie it.
func TestWhatIsQueuedStaysQueued(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	w.broker.RequireFake(t)
	worker, _ := w.worker(partitioning.NewIdentity(""))
	w.owns(worker)
	door := w.door(nil)
	w.broker.Fake.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		// The write gets an error, and the process becomes the owner.
		door.c.Workers = map[string]*business.Worker{w.domain.Name: worker}
		produce := request.(*kmsg.ProduceRequest)
		response := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range produce.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				failed := kmsg.NewProduceResponseTopicPartition()
				failed.Partition, failed.ErrorCode = p.Partition, kerr.InvalidRecord.Code
				answer.Partitions = append(answer.Partitions, failed)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
	_, err := door.Handle(w.within(10*time.Second), w.command(uuid.New(), "id", "no"))
	wantCode(t, err, codes.FailedPrecondition)
	if commands := logtest.ReadCommitted(t, w.broker.Cluster, log.CommandsTopic(w.domain.Name)); len(commands) != 1 {
		t.Errorf("the topic holds %d copies", len(commands))
	}
}
