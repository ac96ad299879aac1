package snapshots

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	"google.golang.org/protobuf/proto"
)

// tell looks a root up and says what is known of its pages.
func (w *shelfWorld) tell(domain log.Domain, root log.Root) (string, error) {
	found, err := w.shelf.Find(w.t.Context(), domain, w.log.partition, root)
	if err != nil {
		return "", err
	}
	places, err := found.Places(w.t.Context(), 1, found.Covers)
	if err != nil {
		return "", err
	}
	said := []string{fmt.Sprint("mark ", found.Mark, ", snapshot ", found.Snapshot.GetSequence(), ", covers ", places)}
	err = found.Pages(w.t.Context(), func(offset int64, sequence uint32, page []byte) error {
		var book angzarr.EventBook
		if err := proto.Unmarshal(page, &book); err != nil || book.Pages[0].GetNum() != sequence {
			return fmt.Errorf("page %d: %v, %w", sequence, &book, err)
		}
		said = append(said, fmt.Sprint(sequence, " at ", offset, " ", book.Pages[0].GetEvent()))
		return nil
	})
	return strings.Join(said, "; "), err
}

// shelved has a root with a snapshot and a page after it, one without, and nobody
// who owns them any more.
func shelved(t *testing.T) *shelfWorld {
	w := newShelfWorld(t, redistest.Start(t))
	w.own(1)
	w.commit(rootOf(1), "a", 2)
	book := w.get(rootOf(1))
	book.SetSnapshot(w.log.snapshot(rootOf(1), 2, noon))
	w.books.Release(book)
	w.commit(rootOf(2), "b", 2)
	w.commit(rootOf(1), "c", 1)
	w.settled()
	w.stop()
	return w
}

func TestFind(t *testing.T) {
	w := shelved(t)
	for root, want := range map[log.Root]string{
		rootOf(1): "snapshot 2, covers [0 1]; 3 at 7",
		rootOf(2): "snapshot 0, covers []; 1 at 4",
		rootOf(3): "mark 8, snapshot 0, covers []",
	} {
		got, err := w.tell(w.domain, root)
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("root %s: %s, %v; want %s", root, got, err, want)
		}
	}
	other := w.domain
	other.EventsID = [16]byte{2}
	old := w.domain
	old.TombstoneRetention = -1
	empty := w.domain
	empty.Name += "-none"
	for name, domain := range map[string]log.Domain{"of another log": other, "too old": old, "none": empty} {
		if got, err := w.tell(domain, rootOf(1)); !errors.Is(err, ErrNotFound) {
			t.Errorf("a shelf that is %s: %s, %v", name, got, err)
		}
	}
}

// Whatever byte is changed, the shelf tells the truth or nothing.
func TestFindWhatIsCorrupt(t *testing.T) {
	w := shelved(t)
	k := keysOf(w.domain.Name, w.log.partition)
	for _, root := range []log.Root{rootOf(1), rootOf(2)} {
		want, err := w.tell(w.domain, root)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{k.book(root), k.history(root)} {
			raw := w.client().Get(t.Context(), key).Val()
			for at := range len(raw) {
				w.client().SetRange(t.Context(), key, int64(at), string(raw[at]^0x20))
				if got, err := w.tell(w.domain, root); err == nil && got != want || err != nil && !errors.Is(err, ErrNotFound) {
					t.Errorf("byte %d of %d changed: %s, %v; want %s", at, len(raw), got, err, want)
				}
				w.client().SetRange(t.Context(), key, int64(at), string(raw[at]))
			}
		}
	}
}
