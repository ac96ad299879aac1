package query_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// erased is what an owner writes that erases the pages up to to, of so many.
func (w *world) erased(root uuid.UUID, last, to uint32) (records []*kgo.Record) {
	s := log.NewSheet(w.domain.Name)
	partition := partitioning.Of(log.Root(root), w.domain.Partitions)
	s.AddErased(log.Root(root), &angzarr.Erased{LastSequence: last, PagesLeft: last - to}, partition)
	s.AddSnapshotTombstone(log.Root(root), partition)
	for n := range to {
		s.AddPageTombstone(log.Root(root), n+1, partition)
	}
	for i := range s.Records {
		records = append(records, s.Records[i].ToClient())
	}
	return records
}

// refused wants a root to answer ERASED, whatever is asked of its pages.
func (w *world) refused(name string, root uuid.UUID) {
	w.Helper()
	at := timestamppb.New(time.Unix(15, 0))
	for what, q := range map[string]*angzarr.Query{
		"all": {}, "some": {LowerBound: 2, UpperBound: 2}, "the first": {UpperBound: 1}, "the open book": {OpenBook: true},
		"as of a page": {AsOfSequence: 1}, "as of a time": {AsOfTime: at},
	} {
		q = proto.CloneOf(q)
		q.Domain, q.Root = w.domain.Name, &angzarr.UUID{Value: root[:]}
		books, err := w.ask(q)
		st := status.Convert(err)
		if st.Code() != codes.FailedPrecondition || len(st.Details()) != 1 || st.Details()[0].(*errdetails.ErrorInfo).Reason != "ERASED" || len(books) != 0 {
			w.Errorf("%s, %s: answered %q, %v", name, what, show(books), err)
		}
	}
}

// No page of an erased root is answered, though all of them are in the log yet, or
// some.
func TestErasedRootsAreNotAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	whole, half, compacted, large, kept := uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()
	for _, root := range []uuid.UUID{whole, half} {
		w.write(w.pageAt(root, 1, 10), w.pageAt(root, 2, 20), w.snapshotAt(root, 2), w.pageAt(root, 3, 30))
	}
	w.write(w.erased(whole, 3, 3)...)
	w.write(w.erased(half, 3, 1)...)
	w.write(w.pageAt(compacted, 3, 30)) // the others are gone
	w.write(w.erased(compacted, 3, 3)...)
	for n := range uint32(4) {
		w.write(w.page(large, n+1, strings.Repeat("x", 500_000)))
		w.write(w.page(kept, n+1, strings.Repeat("x", 500_000)))
	}
	w.write(w.erased(large, 4, 4)...)
	for name, root := range map[string]uuid.UUID{"whole": whole, "half": half, "compacted": compacted, "large": large} {
		w.refused(name, root)
	}
	books, err := w.ask(&angzarr.Query{Domain: w.domain.Name, Root: &angzarr.UUID{Value: kept[:]}})
	if err != nil || show(books) != "1 2 3 4" {
		t.Errorf("a root beside them: %q, %v", show(books), err)
	}
	for range 2 {
		if got, err := w.roots(); err != nil || len(got) != 1 || got[kept] != 1 {
			t.Errorf("the roots are %v, %v", got, err)
		}
	}
	w.write(w.erased(kept, 4, 4)...)
	if got, err := w.roots(); err != nil || len(got) != 0 {
		t.Errorf("the roots are %v, %v", got, err)
	}
}

// Nor is one that the shelf knows, or knows to be erased.
func TestErasedRootsOnTheShelf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shelf := w.openShelf(redistest.Start(t))
	before, half, folded, open, large, kept := uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()
	for _, root := range []uuid.UUID{before, half, folded, open, kept} {
		w.write(w.pageAt(root, 1, 10), w.pageAt(root, 2, 20))
		if root != open {
			w.write(w.snapshotAt(root, 2))
		}
		w.write(w.pageAt(root, 3, 30))
	}
	for n := range uint32(4) {
		w.write(w.page(large, n+1, strings.Repeat("x", 500_000)))
	}
	w.write(w.erased(before, 3, 3)...)
	w.write(w.erased(half, 3, 1)...)
	w.shelve(shelf)
	w.query = w.serveWith(w.broker.Cluster, shelf)
	for name, root := range map[string]uuid.UUID{"before the mark": before, "half of it before the mark": half} {
		w.refused(name, root)
	}
	if n := w.countedFrom("log"); n > 0 {
		t.Errorf("%d were looked for in the log", n)
	}
	behind := map[string]uuid.UUID{"folded": folded, "open": open, "large": large}
	for name, root := range behind {
		if books, err := w.ask(w.of(root, 0, 0)); err != nil || !strings.HasPrefix(numbers(books), "1 2 3") {
			t.Errorf("%s, before it was erased: %q, %v", name, numbers(books), err)
		}
	}
	w.write(w.pageAt(folded, 4, 40), w.pageAt(kept, 4, 40))
	for n := range uint32(4) {
		w.write(w.page(large, n+5, strings.Repeat("x", 500_000)))
	}
	w.write(w.erased(folded, 4, 4)...)
	w.write(w.erased(open, 3, 2)...)
	w.write(w.erased(large, 8, 8)...)
	for name, root := range behind {
		w.refused(name+", behind the mark", root)
	}
	if books, err := w.ask(w.of(kept, 0, 0)); err != nil || numbers(books) != "1 2 3 4" {
		t.Errorf("a root beside them: %q, %v", numbers(books), err)
	}
}

// heard are the pages that a subscriber has got, until it hears so many times that
// a root was erased.
func (f *follower) heard(erasures int) (all []string) {
	f.Helper()
	for erasures > 0 {
		book := f.next()
		for _, p := range book.Pages {
			all = append(all, fmt.Sprint(p.GetNum()))
		}
		if e := book.Erased; e != nil {
			all = append(all, fmt.Sprintf("erased %d (%d left)", e.LastSequence, e.PagesLeft))
			erasures--
		}
	}
	return all
}

// Who subscribes hears that a root was erased, where the log says so: in history
// and live, whatever the bounds, and behind the position too.
func TestSubscribersHearOfErasures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	w.write(w.page(root, 1, "a"), w.page(root, 2, "b"), w.page(root, 3, "c"))
	one, bounded, everything := w.of(root, 0, 0), w.of(root, 2, 2), w.all()
	live := make(map[string]*follower)
	for name, q := range map[string]*angzarr.Query{"one": one, "bounded": bounded, "everything": everything} {
		live[name] = w.follow(w.query, q)
		live[name].caughtUp()
	}
	w.write(w.erased(root, 3, 1)...)
	w.write(w.erased(root, 3, 3)...)
	for name, f := range live {
		at := f.last
		got := strings.Join(f.heard(2), ", ")
		if want := "erased 3 (2 left), erased 3 (0 left)"; got != want {
			t.Errorf("live, %s: %s; want %s", name, got, want)
		}
		q := proto.CloneOf(map[string]*angzarr.Query{"one": one, "bounded": bounded, "everything": everything}[name])
		q.Position = at
		if again := strings.Join(w.follow(w.query, q).heard(2), ", "); again != got {
			t.Errorf("resumed, %s: %s; want %s", name, again, got)
		}
		q.Position = f.last
		if said := w.follow(w.query, q).caughtUp(); said != "begins caught-up" {
			t.Errorf("resumed behind it, %s: %s", name, said)
		}
	}
	for want, q := range map[string]*angzarr.Query{"1, 2, 3, ": one, "2, ": bounded} {
		if got := strings.Join(w.follow(w.query, q).heard(1), ", "); got != want+"erased 3 (2 left)" {
			t.Errorf("history: %s; want %s, and that it was erased", got, want)
		}
	}
}
