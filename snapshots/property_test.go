package snapshots

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"google.golang.org/protobuf/proto"
)

// history makes a log and, beside it, the books as their owner keeps them.
type history struct {
	log  eventLog
	live *Books // large enough for all
	now  time.Time
	ids  map[log.Root][]command
	rand *rand.Rand
}

// command is what became of one.
type command struct {
	id string
	at time.Time
	Applied
}

func (h *history) step(t *testing.T) {
	h.now = h.now.Add(time.Duration(h.rand.IntN(60)) * time.Second)
	root := rootOf(h.rand.IntN(8))
	book := acquire(t, h.live, &h.log, root)
	defer h.live.Release(book)
	if book.Erased() || book.Last() > 0 && h.rand.IntN(300) == 0 {
		h.log.eraseOn(book, 1+h.rand.Uint32N(20), h.now)
		return
	}
	id := fmt.Sprint(root, "/", len(h.ids[root]))
	c := command{id, h.now, Applied{First: book.Last() + 1}}
	for i := range 1 + h.rand.IntN(3) {
		p := h.log.page(root, book.Last()+1, id, h.now)
		if book.AddPage(p, h.now); i == 0 {
			c.Offset = p.Offset
		}
	}
	c.Last = book.Last()
	h.ids[root] = append(h.ids[root], c)
	if h.rand.IntN(20) == 0 {
		book.SetSnapshot(h.log.snapshot(root, book.Last(), h.now))
	}
}

// compact takes away records that later ones of the same key supersede, some of
// them, as a cleaner does that has come only so far.
func (h *history) compact() {
	latest := make(map[string]int64)
	for _, r := range h.log.records {
		latest[string(r.Key)] = r.Offset
	}
	upTo := h.rand.Int64N(h.log.end())
	h.log.records = slices.DeleteFunc(slices.Clone(h.log.records), func(r log.Record) bool {
		return r.Offset < upTo && latest[string(r.Key)] != r.Offset
	})
}

func (h *history) compare(t *testing.T, b *Books, root log.Root) {
	t.Helper()
	got, want := acquire(t, b, &h.log, root), acquire(t, h.live, &h.log, root)
	defer b.Release(got)
	defer h.live.Release(want)
	if got.Err() != nil {
		t.Fatal(got.Err())
	}
	sameBook(t, root, got, want)
	sameCommands(t, root, got, want)
	if got.Erased() {
		return
	}
	commands := h.ids[root]
	for i, c := range commands {
		must := i >= len(commands)-rememberLast || c.at.After(commands[len(commands)-1].at.Add(-rememberFor))
		for _, book := range []*Book{got, want} {
			was, known := book.Applied(c.id)
			if must && !known {
				t.Fatalf("%s: command %d of %d is not known", root, i, len(commands))
			}
			if known {
				matches(t, c.id, was, c.Applied)
			}
		}
	}
}

// sameBook compares open books.
func sameBook(t *testing.T, root log.Root, got, want *Book) {
	t.Helper()
	if got.Last() != want.Last() || !proto.Equal(got.Erasure(), want.Erasure()) || fmt.Sprint(got.Err()) != fmt.Sprint(want.Err()) {
		t.Fatalf("%s: last %d, erased %v (%v); its owner has %d, %v (%v)",
			root, got.Last(), got.Erasure(), got.Err(), want.Last(), want.Erasure(), want.Err())
	}
	if a, b := got.AppendTo(nil), want.AppendTo(nil); !bytes.Equal(a, b) || got.Size() != len(a) {
		t.Fatalf("%s: the open book has %d bytes, its owner's %d, and they differ", root, len(a), len(b))
	}
}

// sameCommands compares what two books know of their last commands.
func sameCommands(t *testing.T, root log.Root, got, want *Book) {
	t.Helper()
	if a, b := got.applied.recent(), want.applied.recent(); !slices.Equal(a, b) {
		t.Fatalf("%s: it remembers other commands: %x, its owner %x", root, a, b)
	}
	if a, b := got.applied.latest, want.applied.latest; len(a) > 0 && len(b) > 0 && (a[len(a)-1] != b[len(b)-1] || got.applied.last != want.applied.last) {
		t.Fatalf("%s: the last command is %+v up to %d, its owner has %+v up to %d", root,
			a[len(a)-1], got.applied.last, b[len(b)-1], want.applied.last)
	}
}

// compareAll has all books loaded at once.
func (h *history) compareAll(t *testing.T, b *Books) {
	t.Helper()
	roots := make([]log.Root, 8)
	for i := range roots {
		roots[i] = rootOf(i)
	}
	if err := b.Load(t.Context(), h.log.read, h.log.now, h.log.partition, roots); err != nil {
		t.Fatal(err)
	}
	for _, root := range roots {
		h.compare(t, b, root)
	}
}

// TestFoldedBooksEqualLiveOnes is the reason why an owner may forget everything:
// whatever is committed, evicted and read back, a book is the one that its owner
// would have kept.
func TestFoldedBooksEqualLiveOnes(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			h := &history{
				log: eventLog{partition: 3}, live: NewBooks(1 << 30), now: time.Unix(1_700_000_000, 0),
				ids: make(map[log.Root][]command), rand: rand.New(rand.NewPCG(seed, 1)),
			}
			h.live = restored(t, &h.log, 1<<30)
			for i := range 1000 {
				h.step(t)
				if i%250 != 249 {
					continue
				}
				if h.rand.IntN(2) == 0 {
					h.compact()
				}
				tight := restored(t, &h.log, 20_000)
				for range 40 {
					h.compare(t, tight, rootOf(h.rand.IntN(8)))
				}
				h.compareAll(t, tight) // from places that differ
				if tight.Usage().Evictions == 0 {
					t.Error("no book had to leave memory: the limit is too wide for this test")
				}
			}
		})
	}
}
