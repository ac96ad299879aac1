package snapshots

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
)

func (w *shelfWorld) audit() Audit {
	w.t.Helper()
	a, err := w.shelf.Audit(w.t.Context(), w.domain, w.log.partition, w.log.read, w.log.end())
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// audited gives a shelf with books of all kinds: rootOf(1) has pages alone,
// rootOf(2) a snapshot and pages before and after it, rootOf(3) is erased.
func audited(t *testing.T) *shelfWorld {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1)
	for n := range 4 {
		w.commit(rootOf(1), fmt.Sprint("one ", n), 2)
		w.commit(rootOf(2), fmt.Sprint("two ", n), 1)
		w.commit(rootOf(3), fmt.Sprint("three ", n), 1)
		if n == 2 {
			book := w.get(rootOf(2))
			book.SetSnapshot(w.log.snapshot(rootOf(2), book.Last(), noon))
			w.books.Release(book)
		}
	}
	w.log.erase(rootOf(3), 4, noon)
	w.own(1)
	w.settled()
	w.stop()
	return w
}

func TestAuditPassesWhatTheLogSays(t *testing.T) {
	w := audited(t)
	if a := w.audit(); a.Mark != w.log.end() || a.Books != 3 || a.GivenUp != 0 || len(a.Wrong) > 0 {
		t.Errorf("%+v", a)
	}
	for seed := range uint64(4) {
		s := newStorm(newShelfWorld(t, redistest.Start(t)), seed, 15)
		s.own(1)
		s.steps(300)
		s.forget()
		s.steps(100)
		s.own(1)
		s.steps(100)
		s.settled()
		s.stop()
		if a := s.audit(); a.Mark < 0 || a.Books+a.GivenUp < 15 || len(a.Wrong) > 0 {
			t.Errorf("seed %d: %+v", seed, a)
		}
	}
}

func TestAuditFindsWhatDiffers(t *testing.T) {
	book := func(w *shelfWorld, root log.Root) string { return keysOf(w.domain.Name, w.log.partition).book(root) }
	get := func(w *shelfWorld, key string) string { return w.client().Get(w.t.Context(), key).Val() }
	set := func(w *shelfWorld, key, value string) { w.client().Set(w.t.Context(), key, value, 0) }
	// entries puts other pages of the first root there, as they would be written.
	entries := func(w *shelfWorld, change func(n int, offset *int64, id *string)) {
		row := get(w, book(w, rootOf(1)))[:idSize]
		n := 0
		for i := range w.log.records {
			r := &w.log.records[i]
			if root, sequence, kind := log.ParseKey(r.Key); root == rootOf(1) && kind == log.KeyPage {
				p, err := readPage(r)
				if err != nil {
					w.t.Fatal(err)
				}
				offset, id := r.Offset, string(p.CommandID)
				change(n, &offset, &id)
				c := pageChange(root, sequence, offset, r.Time.Unix(), digestOf(id), p.AppendTo(nil))
				row += string(c.entry)
				n++
			}
		}
		set(w, book(w, rootOf(1)), row)
	}
	for _, tc := range []struct {
		name string
		harm func(*shelfWorld)
		want string
	}{
		{"a book is gone", func(w *shelfWorld) { w.client().Del(w.t.Context(), book(w, rootOf(1))) }, "the log has 8 pages, the shelf none"},
		{"a byte is another", func(w *shelfWorld) { w.client().SetRange(w.t.Context(), book(w, rootOf(1)), 60, "\xff\xfe\xfd") }, "it is corrupt"},
		{"a page is missing", func(w *shelfWorld) {
			row := get(w, book(w, rootOf(1)))
			var last change
			for i := range w.log.records {
				if c := changesOf(&w.log.records[i]); len(c) > 0 && c[0].root == rootOf(1) && c[0].kind == kindPage {
					last = c[0]
				}
			}
			set(w, book(w, rootOf(1)), row[:len(row)-len(last.entry)])
		}, "the shelf has page 7"},
		{"a page stands elsewhere", func(w *shelfWorld) {
			entries(w, func(n int, offset *int64, _ *string) {
				if n == 3 {
					*offset++
				}
			})
		}, "the shelf says that its pages stand at"},
		{"a page is of another command", func(w *shelfWorld) {
			entries(w, func(n int, _ *int64, id *string) {
				if n == 3 {
					*id = "another"
				}
			})
		}, "the shelf says that its pages stand at"},
		{"a page has other bytes", func(w *shelfWorld) {
			w.log.records[0].Value = append([]byte("other "), w.log.records[0].Value...)
		}, "and they differ"},
		{"what a snapshot covers is of another command", func(w *shelfWorld) {
			key := keysOf(w.domain.Name, w.log.partition).history(rootOf(2))
			h := get(w, key)
			offset, at, _, _ := readStub(rootOf(2), 1, []byte(h[idSize:idSize+stubSize]))
			set(w, key, h[:idSize]+string(stubOf(rootOf(2), 1, offset, at, digestOf("another")))+h[idSize+stubSize:])
		}, "the shelf says that its pages stand at"},
		{"a history is short", func(w *shelfWorld) {
			key := keysOf(w.domain.Name, w.log.partition).history(rootOf(2))
			set(w, key, get(w, key)[:idSize+stubSize])
		}, "it is corrupt"},
		{"an erased one is back", func(w *shelfWorld) {
			c := pageChange(rootOf(3), 1, 0, noon.Unix(), digestOf("x"), appendPage(nil, &log.Page{Sequence: 1}))
			set(w, book(w, rootOf(3)), get(w, book(w, rootOf(3)))[:idSize]+string(c.entry))
		}, "erased false"},
		{"a book that the log doesn't have", func(w *shelfWorld) {
			c := pageChange(rootOf(9), 1, 0, noon.Unix(), digestOf("x"), appendPage(nil, &log.Page{Sequence: 1}))
			set(w, book(w, rootOf(9)), get(w, book(w, rootOf(1)))[:idSize]+string(c.entry))
		}, "the log page 0"},
		{"a book of an earlier shelf", func(w *shelfWorld) {
			w.client().SetRange(w.t.Context(), book(w, rootOf(1)), 0, "an older")
		}, "an earlier shelf's"},
		{"a mark that says too little", func(w *shelfWorld) {
			key := keysOf(w.domain.Name, w.log.partition).mark()
			fields := strings.Split(get(w, key), " ")
			fields[4] = "5"
			set(w, key, strings.Join(fields, " "))
		}, "the shelf has page 8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := audited(t)
			tc.harm(w)
			if a := w.audit(); !strings.Contains(strings.Join(a.Wrong, "\n"), tc.want) {
				t.Errorf("it found %q, want %q", a.Wrong, tc.want)
			}
		})
	}
	t.Run("given up", func(t *testing.T) {
		w := audited(t)
		set(w, book(w, rootOf(1)), get(w, book(w, rootOf(1)))[:idSize]+string(kindLost))
		if a := w.audit(); a.GivenUp != 1 || a.Books != 2 || len(a.Wrong) > 0 {
			t.Errorf("%+v", a)
		}
	})
	t.Run("no mark", func(t *testing.T) {
		w := audited(t)
		(&storm{shelfWorld: w}).forget()
		if a := w.audit(); a.Mark != -1 || a.Why == nil || len(a.Wrong) > 0 {
			t.Errorf("%+v", a)
		}
	})
}

// Of a shelf that is written to meanwhile nothing is said, whatever it looked like.
func TestAuditOfAShelfThatIsWrittenTo(t *testing.T) {
	w := audited(t)
	keys := keysOf(w.domain.Name, w.log.partition)
	was := w.client().Get(t.Context(), keys.mark()).Val()
	m, err := parseMark(was, originOf(w.domain.ClusterID, w.domain.EventsID), time.Now(), day)
	if err != nil {
		t.Fatal(err)
	}
	m.offset--
	read := func(ctx context.Context, spans map[int32]log.Span, fn func(*log.Record) error) error {
		w.client().Set(ctx, keys.mark(), m.encode(), 0) // between the two looks
		return w.log.read(ctx, spans, fn)
	}
	if a, err := w.shelf.Audit(t.Context(), w.domain, w.log.partition, read, w.log.end()); !errors.Is(err, ErrBusy) {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestInspect(t *testing.T) {
	address := redistest.Start(t)
	found, err := Inspect(t.Context(), Options{Address: address})
	if err != nil || found.Ahead.Abs() > time.Minute {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := Inspect(t.Context(), Options{Address: address, Cluster: true}); !errors.Is(err, ErrRefused) {
		t.Errorf("no cluster: %v", err)
	}
	if _, err := Inspect(t.Context(), Options{Address: "127.0.0.1:1"}); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("nobody there: %v", err)
	}
}
