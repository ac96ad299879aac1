package query_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/coordinators/query"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// Brokers that lose what was committed, and delivered, are no reason to hang, nor to
// go on as if nothing had happened: whether the log is shorter then, or others' pages
// stand in the place of what was lost.
func TestBrokersLoseRecords(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]bool{"the log is shorter": false, "others stand in their place": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, remember, lose := logtest.StartLossy(t)
			w := newWorldOn(t, b)
			root, elsewhere := uuid.New(), uuid.New()
			w.write(w.page(root, 1, "kept"))
			for partitionOf(w, elsewhere) == partitionOf(w, root) {
				elsewhere = uuid.New()
			}
			w.write(w.page(elsewhere, 1, "kept"))
			before := w.follow(w.query, w.all())
			before.caughtUp()
			before.end()

			remember()
			w.anotherWriter()
			all, one, other := w.follow(w.query, w.all()), w.follow(w.query, w.of(root, 0, 0)), w.follow(w.query, w.of(elsewhere, 0, 0))
			for _, f := range []*follower{all, one, other} {
				f.caughtUp()
			}
			w.eventually("all follow the tail", func() bool { _, n := w.service.Tails(); return n == 3 })
			w.write(w.page(root, 2, "lost"), w.page(root, 3, "lost"))
			for _, f := range []*follower{all, one} {
				if got := f.pages(2); got != "lost2 lost3" {
					t.Fatalf("live: %s", got)
				}
			}
			token := query.OpenToken(all.last)

			lose()
			w.anotherWriter()
			code, says := codes.InvalidArgument, "position: is past the end"
			if again {
				w.write(w.page(root, 2, "instead"), w.page(root, 3, "instead"), w.page(root, 4, "instead"))
				code, says = codes.DataLoss, "position: the brokers have lost records"
			}
			for what, f := range map[string]*follower{"the domain": all, "the root": one} {
				if st := f.refused(); st.Code() != codes.DataLoss || !strings.Contains(st.Message(), "the brokers have lost records") {
					t.Errorf("who followed %s: %v", what, st)
				}
			}
			for what, q := range map[string]*angzarr.Query{"the domain": w.all(), "the root": w.of(root, 0, 0)} {
				q.Position = token.Bytes()
				if st := w.follow(w.query, q).refused(); st.Code() != code || !strings.HasPrefix(st.Message(), says) {
					t.Errorf("who resumes %s: %v", what, st)
				}
			}
			// What was not lost is nobody's loss: neither on an open stream, nor by a
			// position from before.
			resumed := w.all()
			resumed.Position = before.last
			rest := w.follow(w.query, resumed)
			if got, want := rest.caughtUp(), "begins caught-up"; !again && got != want || again && got != "begins instead2 instead3 instead4 caught-up" {
				t.Errorf("resumed from before: %s", got)
			}
			w.write(w.page(elsewhere, 2, "live"))
			for what, f := range map[string]*follower{"open": other, "resumed": rest} {
				if got := f.pages(1); got != "live2" {
					t.Errorf("who has lost nothing (%s) got %s", what, got)
				}
			}
		})
	}
}

func partitionOf(w *world, root uuid.UUID) int32 {
	return partitioning.Of(log.Root(root), w.domain.Partitions)
}

// anotherWriter takes over from one that knew what is lost.
func (w *world) anotherWriter() {
	w.Helper()
	w.writer = w.broker.Client(w, kgo.TransactionalID(w.domain.Name+"-"+uuid.NewString()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// A position from before there were epochs in it is as good as it was.
func TestPositionWithoutEpochs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	w.write(w.page(root, 1, "r"), w.page(root, 2, "r"))
	first := w.of(root, 1, 1)
	f := w.follow(w.query, first)
	if got := f.pages(1); got != "begins r1" {
		t.Fatalf("got %s", got)
	}
	q := w.of(root, 0, 0)
	q.Position = query.OpenToken(f.last).WithoutEpochs()
	if got := w.follow(w.query, q).caughtUp(); got != "begins r2 caught-up" {
		t.Errorf("resumed: %s", got)
	}
}

// From the end on there is no history, but all that is committed then, of a
// transaction that was open too; and a position to come back to.
func TestFromTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	w.write(w.page(root, 1, "r"), w.page(root, 2, "r"))
	w.begin(w.page(root, 3, "r"))
	queries := map[string]*angzarr.Query{"a root": w.of(root, 0, 0), "a domain": w.all(), "everything": {}}
	followers := make(map[string]*follower)
	for name, q := range queries {
		live := proto.CloneOf(q)
		live.FromEnd = true
		followers[name] = w.follow(w.query, live)
		if got := followers[name].caughtUp(); got != "begins caught-up" {
			t.Errorf("%s: %s", name, got)
		}
	}
	w.end(kgo.TryCommit)
	w.write(w.page(root, 4, "r"))
	for name, f := range followers {
		at := f.last
		if got := f.pages(2); got != "r3 r4" {
			t.Errorf("%s: %s", name, got)
		}
		again := proto.CloneOf(queries[name])
		again.Position = at
		if got := w.follow(w.query, again).caughtUp(); got != "begins r3 r4 caught-up" {
			t.Errorf("%s, resumed: %s", name, got)
		}
	}
	both := w.all()
	both.FromEnd, both.Position = true, followers["a domain"].last
	if st := w.follow(w.query, both).refused(); st.Code() != codes.InvalidArgument || !strings.HasPrefix(st.Message(), "from_end:") {
		t.Errorf("from the end, and from a position: %v", st)
	}
	bounded := w.of(root, 0, 0)
	bounded.FromEnd = true
	if _, err := w.ask(bounded); !strings.Contains(fmt.Sprint(err), "from_end: is for Synchronize") {
		t.Errorf("GetEvents from the end: %v", err)
	}
}
