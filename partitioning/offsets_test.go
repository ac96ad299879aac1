package partitioning_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/angzarr/angzarr-kafka/partitioning"
)

// handled gives what is polled until the record with the last value, admitted or not.
func handled(x *worker, last string) (values []string) {
	for {
		for _, f := range x.poll() {
			for _, r := range f.Records {
				if f.Claim.Progress.Admit(r.Offset) {
					f.Claim.Progress.Finish(r.Offset)
					values = append(values, string(r.Value))
				}
				if string(r.Value) == last {
					return values
				}
			}
		}
	}
}

// deleteRecords does what retention does.
func (w *world) deleteRecords(partition int32, before int64) {
	w.t.Helper()
	deleted, err := w.admin.DeleteRecords(w.t.Context(), kadm.Offsets{w.commands: {partition: {Topic: w.commands, Partition: partition, At: before}}})
	if err == nil {
		err = deleted.Error()
	}
	ok(w.t, err)
}

// An idle group's offsets expire. What is in the log then may have been handled
// or not: nobody but the operator can say.
func TestMissingOffsets(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T) *world {
		w := newWorld(t, 1)
		w.command(0, "c0", "c1", "c2")
		a := w.join()
		handle(t, a, a.poll()[0])
		a.Leave(t.Context())
		deleted, err := w.admin.DeleteOffsets(t.Context(), w.group, kadm.TopicsSet{w.commands: {0: {}}})
		ok(t, err)
		ok(t, deleted.Error())
		return w
	}
	t.Run("without the rule", func(t *testing.T) {
		w := prepare(t)
		client := w.Client(t, kgo.ConsumerGroup(w.group), kgo.ConsumeTopics(w.commands), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		ctx, cancel := context.WithTimeout(t.Context(), bound)
		defer cancel()
		fetches := client.PollFetches(ctx)
		wrong(t, "what was handled comes again, and nobody hears why", fetches.NumRecords() > 0 && string(fetches.Records()[0].Value) == "c0")
	})
	t.Run("refused", func(t *testing.T) {
		w := prepare(t)
		a := w.join()
		err := a.failed()
		for _, says := range []string{w.commands + "/0", "from offset 0 to 2", w.group, "no committed offset", "log.missing_offsets", `"replay"`, `"skip"`} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%q does not say %q", err, says)
			}
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.heard) > 0 {
			t.Errorf("the owner heard %q", a.heard)
		}
	})
	t.Run("replayed", func(t *testing.T) {
		w := prepare(t)
		a := w.join(missing(partitioning.ReplayMissing))
		if got := fmt.Sprint(handled(a, "c2")); got != "[c0 c1 c2]" {
			t.Errorf("handled %v", got)
		}
	})
	t.Run("skipped", func(t *testing.T) {
		w := prepare(t)
		a := w.join(missing(partitioning.SkipMissing))
		a.claim(0)
		w.command(0, "c3")
		if got := fmt.Sprint(handled(a, "c3")); got != "[c3]" {
			t.Errorf("handled %v", got)
		}
	})
	t.Run("nothing there to miss", func(t *testing.T) {
		w := prepare(t)
		w.deleteRecords(0, 3)
		a := w.join()
		a.claim(0)
		w.command(0, "c3")
		if got := fmt.Sprint(handled(a, "c3")); got != "[c3]" {
			t.Errorf("handled %v", got)
		}
	})
}

// A committed offset past the end is of another log: the topic was deleted and
// made anew, or has lost records.
func TestOffsetPastTheEnd(t *testing.T) {
	w := newWorld(t, 1)
	w.command(0, "c0")
	ok(t, w.admin.CommitAllOffsets(t.Context(), w.group, kadm.Offsets{w.commands: {0: {Topic: w.commands, At: 500}}}))
	a := w.join()
	if err := a.failed(); !strings.Contains(err.Error(), "committed offset 500") {
		t.Errorf("the member says: %v", err)
	}
	b := w.join(missing(partitioning.ReplayMissing))
	a.Leave(t.Context())
	if got := fmt.Sprint(handled(b, "c0")); got != "[c0]" {
		t.Errorf("handled %v", got)
	}
}

// What is deleted by retention while its partition waits does not stop it.
func TestDeletedWhileWaiting(t *testing.T) {
	w := newWorld(t, 1)
	a := w.join(notReading)
	first := a.claim(0)
	w.command(0, "c0", "c1", "c2")
	w.deleteRecords(0, 2)
	a.mu.Lock()
	a.resuming = true
	a.mu.Unlock()
	a.Resume(0)
	if got := fmt.Sprint(handled(a, "c2")); got != "[c2]" {
		t.Errorf("handled %v", got)
	}
	if !first.Ended() {
		t.Error("the claim whose records were deleted goes on")
	}
}

// Every partition without an offset is said, and none of them is read.
func TestOffsetCannotBeFetched(t *testing.T) {
	w := newWorld(t, 2)
	w.RequireFake(t)
	w.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: w.commands, Partitions: []int32{1}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	a := w.join(missing(partitioning.ReplayMissing))
	if err := a.failed(); !strings.Contains(err.Error(), w.commands+"/1") || !strings.Contains(err.Error(), kerr.TopicAuthorizationFailed.Message) {
		t.Errorf("the member says: %v", err)
	}
}

// Metadata that nobody can read costs a repetition, not the partition.
func TestUnreadableMetadata(t *testing.T) {
	w := newWorld(t, 1)
	w.command(0, "c0", "c1")
	ok(t, w.admin.CommitAllOffsets(t.Context(), w.group, kadm.Offsets{w.commands: {0: {Topic: w.commands, At: 1, Metadata: "by hand"}}}))
	a := w.join()
	if got := fmt.Sprint(handled(a, "c1")); got != "[c1]" {
		t.Errorf("handled %v", got)
	}
}

// Brokers of long ago answer in other forms.
func TestOldBroker(t *testing.T) {
	versions := kversion.V2_5_0()
	w := newWorld(t, 1, kfake.MaxVersions(versions))
	w.command(0, "c0")
	a := w.join()
	handle(t, a, a.poll()[0])
	a.Leave(t.Context())
	b := w.join()
	if low := b.claim(0).Offset().Low; low != 1 {
		t.Errorf("the next owner begins at %d", low)
	}
	b.mustCommit(b.claim(0), "by b")
	w.wantPages("c0", "by b")
}
