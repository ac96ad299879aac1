package query_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/angzarr/angzarr-kafka/log/logtest"
)

// countedFrom is how many roots' pages were found there.
func (w *world) countedFrom(where string) int64 {
	w.Helper()
	return w.counted("angzarr.query.reads", attribute.String("from", where))
}

// counted is the sum of a counter of the process that was served last.
func (w *world) counted(name string, having ...attribute.KeyValue) (sum int64) {
	w.Helper()
	var all metricdata.ResourceMetrics
	if err := w.counts.Collect(w.Context(), &all); err != nil {
		w.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if counter, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == name {
				for _, p := range counter.DataPoints {
					if len(having) == 0 || slices.Contains(p.Attributes.ToSlice(), having[0]) {
						sum += p.Value
					}
				}
			}
		}
	}
	return sum
}

// eventually waits until something holds.
func (w *world) eventually(what string, holds func() bool) {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); !holds(); {
		select {
		case <-tick.C:
		case <-late:
			w.Fatalf("not after 20 s: %s", what)
		}
	}
}

// sequence is "x1 x2 …".
func sequence(value string, from, to int) string {
	var all []string
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprint(value, n))
	}
	return strings.Join(all, " ")
}

// numbersOf gives so many pages' numbers, without their long payloads.
func (f *follower) numbersOf(n int) string {
	f.Helper()
	var all []string
	for len(all) < n {
		for _, p := range f.next().Pages {
			all = append(all, fmt.Sprint(p.GetNum()))
		}
	}
	return strings.Join(all, " ")
}

// Who takes nothing for a while holds up nobody, and misses nothing.
func TestASlowSubscriberSlowsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	slow, slowRoot, fast := w.follow(w.query, w.all()), w.follow(w.query, w.of(root, 0, 0)), w.follow(w.query, w.all())
	for _, f := range []*follower{slow, slowRoot, fast} {
		f.caughtUp()
	}
	w.eventually("all follow the tail", func() bool { _, n := w.service.Tails(); return n == 3 })
	const pages = 60
	for n := 1; n <= pages; n++ {
		w.write(w.page(root, uint32(n), strings.Repeat("x", 300_000)))
		if got := fast.numbersOf(1); got != fmt.Sprint(n) {
			t.Fatalf("the fast one got page %s, not %d", got, n)
		}
	}
	if n := w.counted("angzarr.query.behind"); n != 0 {
		t.Logf("%d have fallen behind while they were not read", n)
	}
	for _, f := range []*follower{slow, slowRoot} {
		if got := f.numbersOf(pages); got != sequence("", 1, pages) {
			t.Errorf("a slow one got pages %s", got)
		}
	}
	if n := w.counted("angzarr.query.behind"); n < 2 {
		t.Errorf("%d were sent to the log, of 2 that were behind", n)
	}
	w.write(w.page(root, pages+1, "x"))
	for _, f := range []*follower{slow, slowRoot, fast} {
		if got := f.numbersOf(1); got != fmt.Sprint(pages+1) {
			t.Errorf("afterwards it got page %s", got)
		}
	}
}

// Who takes nothing for longer than that is ended, and resumes.
func TestASubscriberThatTakesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service.SetPatience(600 * time.Millisecond)
	root := uuid.New()
	const pages = 40
	for n := 1; n <= pages; n++ {
		w.write(w.page(root, uint32(n), strings.Repeat("x", 100_000)))
	}
	f := w.follow(w.query, w.all())
	w.eventually("it has begun", func() bool { return w.counted("angzarr.query.subscribers") == 1 })
	w.eventually("it is ended", func() bool { return w.counted("angzarr.query.subscribers") == 0 })
	var got []string
	for {
		book, err := f.stream.Recv()
		if err != nil {
			if st := status.Convert(err); st.Code() != codes.ResourceExhausted || !strings.Contains(st.Message(), "resume") {
				t.Fatalf("ended with %v", st)
			}
			break
		}
		f.last = book.Position
		for _, p := range book.Pages {
			got = append(got, fmt.Sprint(p.GetNum()))
		}
	}
	if len(got) == 0 || len(got) == pages {
		t.Fatalf("it got %d pages before", len(got))
	}
	q := w.all()
	q.Position = f.last
	rest := w.follow(w.query, q).numbersOf(pages - len(got))
	if all := strings.Join(got, " ") + " " + rest; all != sequence("", 1, pages) {
		t.Errorf("together it got %s", all)
	}
}

// However many follow a domain, it is read once, and by nobody when the last one
// has gone.
func TestOneTail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if domains, _ := w.service.Tails(); domains != 0 {
		t.Fatalf("%d domains are read for nobody", domains)
	}
	roots := make([]uuid.UUID, 50)
	var all []*follower
	for i := range roots {
		roots[i] = uuid.New()
		w.write(w.page(roots[i], 1, "x"))
		all = append(all, w.follow(w.query, w.of(roots[i], 0, 0)), w.follow(w.query, w.all()))
	}
	for _, f := range all {
		f.caughtUp()
	}
	w.eventually("all follow one tail", func() bool { d, n := w.service.Tails(); return d == 1 && n == len(all) })
	for _, root := range roots {
		w.write(w.page(root, 2, "y"))
	}
	for i := range roots {
		if got := all[2*i].pages(1); got != "y2" {
			t.Errorf("a root's: %s", got)
		}
	}
	for _, f := range all {
		f.end()
	}
	w.eventually("the tail ends", func() bool { d, _ := w.service.Tails(); return d == 0 })
}

// A process that stops sends its subscribers away.
func TestStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.follow(w.query, w.all())
	f.caughtUp()
	w.service.Stop()
	if st := f.refused(); st.Code() != codes.Unavailable || !strings.Contains(st.Message(), "resume") {
		t.Errorf("ended with %v", st)
	}
}

// Brokers that restart are a pause.
func TestSynchronizeThroughARestart(t *testing.T) {
	t.Parallel()
	b, restart := logtest.StartLasting(t)
	w := newWorldOn(t, b)
	root := uuid.New()
	w.write(w.page(root, 1, "x"))
	live, oneRoot := w.follow(w.query, w.all()), w.follow(w.query, w.of(root, 0, 0))
	live.caughtUp()
	oneRoot.caughtUp()
	for n := uint32(2); n < 5; n++ {
		restart()
		w.write(w.page(root, n, "x"))
		for _, f := range []*follower{live, oneRoot} {
			if got := f.numbersOf(1); got != fmt.Sprint(n) {
				t.Errorf("after a restart: page %s, want %d", got, n)
			}
		}
	}
}
