package query_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
)

// pageAt is a page that was created so many seconds after 1970.
func (w *world) pageAt(root uuid.UUID, sequence uint32, seconds int64) *kgo.Record {
	p := log.Page{Root: log.Root(root), Sequence: sequence, CreatedAt: time.Unix(seconds, 0), TypeURL: "type.googleapis.com/x.Y"}
	r := p.Encode(w.domain.Name, partitioning.Of(log.Root(root), w.domain.Partitions))
	return r.ToClient()
}

// snapshotAt is a root's snapshot of that page.
func (w *world) snapshotAt(root uuid.UUID, sequence uint32) *kgo.Record {
	s, err := proto.Marshal(&angzarr.Snapshot{Sequence: sequence, State: &anypb.Any{TypeUrl: "type.googleapis.com/x.State"}})
	if err != nil {
		w.Fatal(err)
	}
	r := w.pageAt(root, sequence, 0)
	r.Key, r.Value, r.Headers = log.SnapshotKey(log.Root(root)), s, nil
	return r
}

// show gives a snapshot's number in brackets, and those of the pages.
func show(books []*angzarr.EventBook) string {
	text := numbers(books)
	for i, b := range books {
		if b.Snapshot != nil {
			text = strings.TrimSpace(fmt.Sprintf("[%d] %s", b.Snapshot.Sequence, text))
			if i > 0 {
				text += " in another book than the first"
			}
		}
	}
	return text
}

func TestThePast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root, other, plain := uuid.New(), uuid.New(), uuid.New()
	w.write(w.pageAt(root, 1, 10), w.pageAt(root, 2, 20), w.snapshotAt(root, 2))
	w.write(w.pageAt(neighbour(w, root), 1, 5), w.snapshotAt(neighbour(w, root), 1))
	w.write(w.pageAt(root, 3, 30), w.pageAt(root, 4, 25), w.pageAt(root, 5, 50))
	w.write(w.snapshotAt(other, 3), w.pageAt(plain, 1, 10), w.pageAt(plain, 2, 20))

	type q = angzarr.Query
	at := func(seconds int64) *timestamppb.Timestamp { return timestamppb.New(time.Unix(seconds, 0)) }
	for _, tc := range []struct {
		name  string
		root  uuid.UUID
		query *q
		want  string
	}{
		{"the open book", root, &q{OpenBook: true}, "[2] 3 4 5"},
		{"the open book from page 1 on", root, &q{OpenBook: true, LowerBound: 1}, "[2] 3 4 5"},
		{"pages from 2 on, for which a snapshot is of no help", root, &q{OpenBook: true, LowerBound: 2}, "2 3 4 5"},
		{"the open book up to a page", root, &q{OpenBook: true, UpperBound: 4}, "[2] 3 4"},
		{"the open book up to a page that is to come", root, &q{OpenBook: true, UpperBound: 9}, "[2] 3 4 5"},
		{"without a snapshot", plain, &q{OpenBook: true}, "1 2"},
		{"a snapshot and nothing after it", other, &q{OpenBook: true}, "[3]"},
		{"never written", uuid.New(), &q{OpenBook: true}, ""},
		{"as of page 5", root, &q{AsOfSequence: 5}, "[2] 3 4 5"},
		{"as of page 3", root, &q{AsOfSequence: 3}, "[2] 3"},
		{"as of the snapshot's page", root, &q{AsOfSequence: 2}, "[2]"},
		{"as of page 1", root, &q{AsOfSequence: 1}, "1"},
		{"never written, as of a page", uuid.New(), &q{AsOfSequence: 3}, ""},
		{"before all", root, &q{AsOfTime: at(9)}, ""},
		{"at the first page's time", root, &q{AsOfTime: at(10)}, "1"},
		{"at the snapshot's time", root, &q{AsOfTime: at(20)}, "[2]"},
		{"a page that says it is older does not come before its time", root, &q{AsOfTime: at(27)}, "[2]"},
		{"between two", root, &q{AsOfTime: at(49)}, "[2] 3 4"},
		{"after all", root, &q{AsOfTime: at(60)}, "[2] 3 4 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.query.Domain, tc.query.Root = w.domain.Name, &angzarr.UUID{Value: tc.root[:]}
			books, err := w.ask(tc.query)
			if err != nil || show(books) != tc.want {
				t.Errorf("answered %q, %v; want %q", show(books), err, tc.want)
			}
		})
	}
	_, err := w.ask(&q{Domain: w.domain.Name, Root: &angzarr.UUID{Value: root[:]}, AsOfSequence: 6})
	if st := status.Convert(err); st.Code() != codes.NotFound || !strings.Contains(st.Message(), "as_of_sequence: 6 is after the aggregate's last page, 5") {
		t.Errorf("as of a page that is to come: %v", err)
	}
}

// With a shelf the past is found by where the root's pages stand: the same as by a
// search through all of the partition, and little of it is read.
func TestThePastByTheShelf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shelf := w.openShelf(redistest.Start(t))
	plain := w.query
	rng := rand.New(rand.NewPCG(3, 4))
	regular, often, never := uuid.New(), uuid.New(), uuid.New()
	const pages, others, rounds = 200, 20, 12
	for n := uint32(1); n <= pages; n++ {
		var records []*kgo.Record
		for _, root := range []uuid.UUID{regular, often, never} {
			// Business logic may set the time, and need not be in order.
			records = append(records, w.pageAt(root, n, int64(10*n)+rng.Int64N(25)))
			if root == regular && n%60 == 0 || root == often && rng.IntN(4) == 0 {
				records = append(records, w.snapshotAt(root, n))
			}
		}
		for range others {
			records = append(records, w.page(neighbour(w, regular), 1, "other"))
		}
		w.write(records...)
		if n == pages-10 {
			w.shelve(shelf) // the last ten are behind its mark
		}
	}
	w.write(w.snapshotAt(never, pages))
	shelved := w.serveWith(w.broker.Cluster, shelf)
	for range rounds {
		for _, root := range []uuid.UUID{regular, often, never} {
			n := 1 + rng.Uint32N(pages)
			q := w.of(root, 0, 0)
			q.AsOfSequence = n
			w.same(shelved, plain, q)
			q = w.of(root, 0, n)
			q.OpenBook = true
			w.same(shelved, plain, q)
			q = w.of(root, 0, 0)
			q.AsOfTime = timestamppb.New(time.Unix(rng.Int64N(10*pages+40), 0))
			w.same(shelved, plain, q)
		}
	}
	if n := w.countedFrom("log"); n > 0 {
		t.Errorf("%d were searched for in the log", n)
	}
	if n, all := w.counted("angzarr.query.searched"), int64(rounds*9*2*10*(others+6)); n > all {
		t.Errorf("%d records were searched, no more than %d are behind the mark", n, all)
	}
}

// A snapshot goes before the first page, however many books there are.
func TestPastInChunks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	w.write(w.snapshotAt(root, 7), w.page(root, 8, strings.Repeat("x", 200_000)), w.page(root, 9, strings.Repeat("x", 200_000)))
	books, err := w.ask(&angzarr.Query{Domain: w.domain.Name, Root: &angzarr.UUID{Value: root[:]}, OpenBook: true})
	if err != nil || show(books) != "[7] 8 9" || len(books) != 2 {
		t.Errorf("answered %q in %d books, %v", show(books), len(books), err)
	}
}
