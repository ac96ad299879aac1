package erasure_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/erasure"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// only knows one domain.
type only struct{ domain log.Domain }

func (o only) Find(_ context.Context, field, domain string) (int32, *status.Status) {
	if domain != o.domain.Name {
		return 0, status.Newf(codes.NotFound, "%s: no domain %q", field, domain)
	}
	return o.domain.Partitions, nil
}

// world is a domain on the log, and who verifies there.
type world struct {
	*testing.T
	broker   *logtest.Broker
	domain   log.Domain
	client   *kgo.Client
	verifier *erasure.Verifier
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b := logtest.Start(t)
	admin, err := b.Cluster.NewAdmin("test-erasure")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	w := &world{T: t, broker: b, client: b.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))}
	settings := log.TopicSettings{Partitions: 3, ReplicationFactor: 1}
	if w.domain, err = admin.EnsureDomain(t.Context(), b.Domain("erasure"), settings); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.EnsureReplies(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	w.verifier = erasure.New(b.Cluster, admin, only{w.domain})
	return w
}

func (w *world) cover(root log.Root) *angzarr.Cover {
	return &angzarr.Cover{Domain: w.domain.Name, Root: &angzarr.UUID{Value: root[:]}}
}

func encoded(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// write puts records into a topic, in the root's partition.
func (w *world) write(topic string, root log.Root, records ...*kgo.Record) {
	w.Helper()
	for _, r := range records {
		r.Topic, r.Partition = topic, partitioning.Of(root, w.domain.Partitions)
	}
	if err := w.client.ProduceSync(w.Context(), records...).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

func (w *world) pages(root log.Root, n uint32) (records []*kgo.Record) {
	for i := range n {
		p := log.Page{Root: root, Sequence: i + 1, CreatedAt: time.Now(), TypeURL: "x/e", Value: []byte("secret")}
		r := p.Encode(w.domain.Name, 0)
		records = append(records, r.ToClient())
	}
	return records
}

// erase writes what an owner writes, of pages up to to.
func (w *world) erase(root log.Root, last, to uint32) {
	w.Helper()
	s := log.NewSheet(w.domain.Name)
	s.AddErased(root, &angzarr.Erased{LastSequence: last, PagesLeft: last - to, ErasedAt: timestamppb.Now()}, 0)
	s.AddSnapshotTombstone(root, 0)
	for n := range to {
		s.AddPageTombstone(root, n+1, 0)
	}
	var records []*kgo.Record
	for i := range s.Records {
		records = append(records, s.Records[i].ToClient())
	}
	w.write(log.EventsTopic(w.domain.Name), root, records...)
}

// left is what is told of a root, a line for each topic.
func (w *world) left(root log.Root) (erased bool, left string) {
	w.Helper()
	told, err := w.verifier.Verify(w.Context(), &angzarr.VerifyErasureRequest{Cover: w.cover(root)})
	for tries := 0; status.Code(err) == codes.Unavailable && tries < 20; tries++ {
		// On a Kafka that others use, topics of projections come and go meanwhile.
		told, err = w.verifier.Verify(w.Context(), &angzarr.VerifyErasureRequest{Cover: w.cover(root)})
	}
	if err != nil {
		w.Fatal(err)
	}
	var lines []string
	for _, r := range told.Remains {
		line := fmt.Sprintf("%s %d %s", strings.TrimPrefix(strings.TrimPrefix(r.Topic, "angzarr."), w.domain.Name+"."), r.Records, r.What)
		if r.GoneBy != nil {
			line += fmt.Sprintf(" for %d days", int(time.Until(r.GoneBy.AsTime()).Round(time.Hour).Hours()/24))
		}
		lines = append(lines, line)
	}
	return told.Erased != nil, strings.Join(lines, ", ")
}

func (w *world) wants(root log.Root, erased bool, left string) {
	w.Helper()
	if was, got := w.left(root); was != erased || got != left {
		w.Errorf("erased: %v, left: %s; want %v, %s", was, got, erased, left)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root, other := log.Root(uuid.New()), log.Root(uuid.New())
	w.wants(root, false, "")
	events, commands := log.EventsTopic(w.domain.Name), log.CommandsTopic(w.domain.Name)
	w.write(events, root, w.pages(root, 3)...)
	w.write(events, root, &kgo.Record{Key: log.SnapshotKey(root), Value: encoded(&angzarr.Snapshot{Sequence: 3})})
	w.write(events, other, w.pages(other, 2)...)
	w.wants(root, false, "events 4 pages and snapshots")
	w.erase(root, 3, 2)
	w.wants(root, true, "events 4 pages and snapshots") // of which one has no tombstone
	w.erase(root, 3, 3)
	w.wants(root, true, "events 4 pages and snapshots for 7 days")
	w.wants(other, false, "events 2 pages and snapshots")

	w.write(commands, root, &kgo.Record{Key: root[:], Value: encoded(&angzarr.CommandBook{Cover: w.cover(root)})},
		&kgo.Record{Value: encoded(&angzarr.EventBook{Cover: w.cover(root)}), Headers: []kgo.RecordHeader{{Key: log.HeaderKind, Value: []byte(log.KindEventBook)}}},
		&kgo.Record{Key: root[:], Value: encoded(&angzarr.EraseRequest{Cover: w.cover(root)}), Headers: []kgo.RecordHeader{{Key: log.HeaderKind, Value: []byte(log.KindErasure)}}})
	w.write(commands, other, &kgo.Record{Value: encoded(&angzarr.CommandBook{Cover: w.cover(root)})}) // perhaps misrouted
	w.write(log.OutcomesTopic(w.domain.Name), root, &kgo.Record{Key: root[:], Value: encoded(&angzarr.Outcome{Cover: w.cover(root)})})
	_, got := w.left(root)
	if !strings.Contains(got, "commands for 8 days") || !strings.Contains(got, "outcomes 1 outcomes for 1 days") {
		t.Errorf("left: %s", got)
	}
}

// What age has deleted is no reason to fail, and not there.
func TestVerifyAfterRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := log.Root(uuid.New())
	w.erase(root, 0, 0)
	outcomes := log.OutcomesTopic(w.domain.Name)
	w.write(outcomes, root, &kgo.Record{Key: root[:], Value: encoded(&angzarr.Outcome{Cover: w.cover(root)})})
	w.wants(root, true, "outcomes 1 outcomes for 1 days")
	offsets := make(kadm.Offsets)
	offsets.AddOffset(outcomes, partitioning.Of(root, w.domain.Partitions), 1, -1)
	if deleted, err := kadm.NewClient(w.client).DeleteRecords(t.Context(), offsets); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	w.wants(root, true, "")
}

func TestVerifyDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := log.Root(uuid.New())
	w.erase(root, 0, 0)
	w.wants(root, true, "")
	letters := log.DeadLettersTopic(w.domain.Name)
	l := log.DeadLetter{ID: log.LetterID{Source: log.Source{Topic: "t"}}, Value: []byte("secret"), Root: root, Rooted: true, Time: time.Now()}
	stands, done := l.Encode(w.domain.Name), l.ID.Done(w.domain.Name)
	w.write(letters, root, stands.ToClient())
	w.wants(root, true, "dead-letters 1 dead letters")
	w.write(letters, root, done.ToClient())
	w.wants(root, true, "dead-letters 1 dead letters for 7 days")
}

func TestVerifyProjections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := log.Root(uuid.New())
	w.erase(root, 0, 0)
	topic := "angzarr.projections." + w.broker.Domain("p")
	w.broker.CreateTopic(t, topic, 3, "cleanup.policy", "compact", "max.compaction.lag.ms", "259200000")
	elsewhere := w.cover(root)
	elsewhere.Domain = "elsewhere"
	w.write(topic, root, &kgo.Record{Key: root[:], Value: encoded(&angzarr.Projection{Cover: elsewhere})})
	w.wants(root, true, "")
	w.write(topic, root, &kgo.Record{Key: root[:], Value: encoded(&angzarr.Projection{Cover: w.cover(root)})})
	stands := strings.TrimPrefix(topic, "angzarr.") + " 1 projections"
	w.wants(root, true, stands)
	told, err := w.verifier.Verify(t.Context(), &angzarr.VerifyErasureRequest{Cover: w.cover(root)})
	if err != nil || len(told.Remains) != 1 || !strings.Contains(told.Remains[0].Condition, "the projector's worker has not come to the erasure yet") {
		t.Errorf("told %v, %v", told, err)
	}
	// The projector's worker comes to the erasure: compaction has three days then.
	w.write(topic, root, &kgo.Record{Key: root[:]})
	w.wants(root, true, stands+" for 3 days")
}

func TestVerifyBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := log.Root(uuid.New())
	for name, tc := range map[string]struct {
		cover *angzarr.Cover
		code  codes.Code
	}{
		"nothing":        {nil, codes.InvalidArgument},
		"no root":        {&angzarr.Cover{Domain: w.domain.Name}, codes.InvalidArgument},
		"no domain":      {&angzarr.Cover{Root: w.cover(root).Root}, codes.InvalidArgument},
		"no such domain": {&angzarr.Cover{Domain: "none", Root: w.cover(root).Root}, codes.NotFound},
	} {
		if _, err := w.verifier.Verify(t.Context(), &angzarr.VerifyErasureRequest{Cover: tc.cover}); status.Code(err) != tc.code {
			t.Errorf("%s: %v, want %v", name, err, tc.code)
		}
	}
}

// A real broker's compaction takes what was erased, once the segment is closed.
func TestGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if w.broker.Fake != nil {
		t.Skip("needs a broker that compacts; this run uses the embedded one")
	}
	root := log.Root(uuid.New())
	topic, projections := log.EventsTopic(w.domain.Name), "angzarr.projections."+w.broker.Domain("gone")
	w.broker.CreateTopic(t, projections, w.domain.Partitions, "cleanup.policy", "compact")
	settings := map[string]string{"max.compaction.lag.ms": "1000", "segment.ms": "1000"}
	var alter []kadm.AlterConfig
	for key, value := range settings {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
	}
	if _, err := kadm.NewClient(w.client).AlterTopicConfigs(t.Context(), alter, topic, projections); err != nil {
		t.Fatal(err)
	}
	w.write(topic, root, w.pages(root, 3)...)
	w.write(projections, root, &kgo.Record{Key: root[:], Value: encoded(&angzarr.Projection{Cover: w.cover(root)})})
	w.erase(root, 3, 3)
	w.write(projections, root, &kgo.Record{Key: root[:]})
	begun := time.Now()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	again := time.NewTicker(2 * time.Second)
	defer again.Stop()
	for {
		if erased, left := w.left(root); erased && left == "" {
			t.Logf("gone after %v", time.Since(begun).Round(time.Second))
			return
		}
		select {
		case <-again.C:
			w.erase(root, 3, 3) // as who erases it again, and the projector
			w.write(projections, root, &kgo.Record{Key: root[:]})
		case <-deadline.C:
			_, left := w.left(root)
			t.Fatalf("after %v there is still %s", time.Since(begun), left)
		}
	}
}
