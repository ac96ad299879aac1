package business_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"google.golang.org/protobuf/proto"
)

func TestACommandByCallAndByTopic(t *testing.T) {
	w := newWorld(t, 2)
	x := w.owner(serve(t, simple))
	root := w.root(1)
	book := w.must(w.order(root, "a", "say 2 hello"))
	if !proto.Equal(book.Cover, w.cover(root)) || book.CommandId != "a" || book.CorrelationId != "for a" || len(book.Pages) != 2 {
		t.Errorf("the answer is %v", book)
	}
	for i, p := range book.Pages {
		if p.GetNum() != uint32(i+1) || textOf(p.Event) != "say 2 hello" || time.Since(p.CreatedAt.AsTime()) > time.Minute {
			t.Errorf("page %d is %v", i, p)
		}
	}
	o := w.outcomes()
	r := w.recordOf(w.order(root, "b", "again"))
	w.put(r)
	if got := o.of("b"); got.Code != 0 || got.FirstPage != 3 || got.LastPage != 3 || got.CorrelationId != "for b" || !proto.Equal(got.Cover, w.cover(root)) {
		t.Errorf("the outcome is %v", got)
	}
	w.quiet()
	x.stop()
	h := w.audit()
	if got, want := h.says(root), []string{"say 2 hello", "say 2 hello", "again"}; !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
	if got := h.commands["b"][0].Cause.Source; got != source(r) {
		t.Errorf("the page says that its command is %q, want %q", got, source(r))
	}
	if got := h.commands["a"][0].Cause; got.Source != "" || got.CorrelationID != "for a" {
		t.Errorf("the page says of its cause %+v", got)
	}
}

// Business logic gets the open book and the command with its ids, whichever way
// it came.
func TestManyRootsAtTheSameTime(t *testing.T) {
	w := newWorld(t, 4)
	w.owner(serve(t, simple))
	const roots, each = 40, 5
	o := w.outcomes()
	answered := make(chan error, roots)
	for i := range roots {
		root := w.root(int32(i % 4))
		go func() {
			for n := range each {
				id := fmt.Sprintf("%d/%d", i, n)
				c := w.order(root, id, id)
				c.Pages[0].Sequence = uint32(2*n + 1)
				book, err := w.handle(t.Context(), c)
				if err != nil || book.Pages[0].GetNum() != uint32(2*n+1) {
					answered <- fmt.Errorf("command %s: %v, %w", id, book, err)
					return
				}
				w.put(w.recordOf(w.order(root, "t"+id, "t"+id)))
				if got := o.of("t" + id); got.FirstPage != uint32(2*n+2) {
					answered <- fmt.Errorf("command t%s: %v", id, got)
					return
				}
			}
			answered <- nil
		}()
	}
	for range roots {
		if err := <-answered; err != nil {
			t.Error(err)
		}
	}
	w.quiet()
	if h := w.audit(); len(h.roots) != roots || len(h.commands) != 2*roots*each {
		t.Errorf("the log has %d commands of %d roots", len(h.commands), len(h.roots))
	}
}

// A book that has to leave memory with each command is read back from the log,
// with what it remembers.
func TestABookThatHasNoRoom(t *testing.T) {
	w := newWorld(t, 1)
	x := w.owner(serve(t, simple), withBooks(1))
	roots := []log.Root{w.root(0), w.root(0), w.root(0)}
	for n := range 4 {
		for i, root := range roots {
			said := "x"
			if n == 2 {
				said = "snapshot"
			}
			if book := w.must(w.order(root, fmt.Sprint(i, n), said)); book.Pages[0].GetNum() != uint32(n+1) {
				t.Errorf("command %d of root %d led to page %d", n, i, book.Pages[0].GetNum())
			}
		}
	}
	for i, root := range roots {
		for n := range 4 { // from the log, since a snapshot stands for the first ones
			if book := w.must(w.order(root, fmt.Sprint(i, n), "again")); len(book.Pages) != 1 || book.Pages[0].GetNum() != uint32(n+1) {
				t.Errorf("command %d of root %d again led to %v", n, i, book)
			}
		}
	}
	w.quiet()
	if u := x.books.Usage(); u.Left != len(roots) || u.Evictions < 12 {
		t.Errorf("the books never left memory: %+v", u)
	}
	w.audit()
}
