package snapshots

import (
	"strconv"
	"testing"
	"time"
)

// apply has commands 0 to n-1 applied, with so much time between them.
func apply(n int, between time.Duration) (w window) {
	for i := range n {
		w.add(digestOf(strconv.Itoa(i)), uint32(i+1), int64(10*i), noon.Add(time.Duration(i)*between).Unix())
	}
	return w
}

func TestHowLongCommandsAreRemembered(t *testing.T) {
	cases := []struct {
		name    string
		n       int
		between time.Duration
		oldest  int // the first that must be known
	}{
		{"few, long ago", 128, 24 * time.Hour, 0},
		{"many, long ago: the last 128", 1000, 24 * time.Hour, 1000 - 128},
		{"many in a moment: all", 5000, time.Millisecond, 0},
		{"one a second: those of 15 minutes", 5000, time.Second, 5000 - 1 - 900},
		{"one in 7 s: 128 take longer than 15 minutes", 1000, 7 * time.Second, 1000 - 128},
		{"very many", 20_000, 10 * time.Millisecond, 0},
		{"very many, and time goes by", 20_000, 100 * time.Millisecond, 20_000 - 1 - 9000},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := apply(c.n, c.between)
			for i := range c.n {
				got, known := w.find(strconv.Itoa(i))
				if !known && i >= c.oldest || known && i < c.oldest-2*blockSize {
					t.Fatalf("command %d of %d is known: %v; the oldest that must be is %d", i, c.n, known, c.oldest)
				}
				if known {
					matches(t, strconv.Itoa(i), got, Applied{First: uint32(i + 1), Last: uint32(i + 1), Offset: int64(10 * i)})
				}
				if known && !got.Sure && i >= c.n-blockSize {
					t.Errorf("of command %d, one of the latest, there is no more than a hint", i)
				}
			}
			if (w.index != nil) != (len(w.blocks) > indexFrom) && len(w.blocks) > indexFrom {
				t.Errorf("%d blocks have no index", len(w.blocks))
			}
			for i := range 3000 { // of strangers hardly any is taken for a command
				if got, known := w.find("stranger " + strconv.Itoa(i)); known {
					t.Errorf("a command that never was led to %+v", got)
				}
			}
		})
	}
}

// matches compares what is known with what was.
func matches(t *testing.T, id string, got, was Applied) {
	t.Helper()
	if was.Sure = got.Sure; got.Sure && got != was {
		t.Fatalf("command %s led to %+v, the window says %+v", id, was, got)
	}
	if got.First > was.First || got.Last < was.Last || got.Offset > was.Offset {
		t.Fatalf("command %s led to %+v, which is not among %+v", id, was, got)
	}
}

// Two commands of which a window's hints can't tell one from the other.
const oneHint, sameHint = "69235", "95303"

func TestTheSameHint(t *testing.T) {
	if digestOf(oneHint).short().hint() != digestOf(sameHint).short().hint() {
		t.Fatalf("commands %s and %s do not have the same hint: the tests need others", oneHint, sameHint)
	}
	var w window
	page := uint32(0)
	add := func(id string) {
		page++
		w.add(digestOf(id), page, int64(page), noon.Unix())
	}
	fill := func(what string) {
		for i := range 5 * blockSize {
			add(what + strconv.Itoa(i))
		}
	}
	add(oneHint)
	fill("a")
	if got, known := w.find(sameHint); !known || got.Sure {
		t.Errorf("a hint was taken for %+v (%v)", got, known)
	}
	second := page + 1
	add(sameHint)
	fill("b")
	for id, at := range map[string]uint32{oneHint: 1, sameHint: second} {
		got, known := w.find(id)
		if !known {
			t.Fatalf("command %s is not known", id)
		}
		matches(t, id, got, Applied{First: at, Last: at, Offset: int64(at)})
	}
}

func TestPagesOfOneCommand(t *testing.T) {
	var w window
	for i, id := range []string{"a", "b", "b", "b", "", "c", "c"} {
		w.add(digestOf(id), uint32(i+1), int64(i), noon.Unix())
	}
	for id, want := range map[string][2]uint32{"a": {1, 1}, "b": {2, 4}, "c": {6, 7}} {
		if got, ok := w.find(id); !ok || [2]uint32{got.First, got.Last} != want {
			t.Errorf("%q led to %+v, want %v", id, got, want)
		}
	}
	if _, ok := w.find(""); ok {
		t.Error("a page without an id was taken for a command's")
	}
}

// Pages that nobody of ours wrote put no command out.
func TestForeignPagesBetween(t *testing.T) {
	var w window
	at := noon
	for i := range uint32(1000) {
		w.add(digestOf(strconv.Itoa(int(i))), 2*i+1, int64(i)<<30, at.Unix())
		w.add(digest{}, 2*i+2, int64(i)<<30+1, at.Unix())
		at = at.Add(time.Hour)
	}
	for i := range uint32(1000) {
		got, known := w.find(strconv.Itoa(int(i)))
		if !known && i >= 1000-128 {
			t.Fatalf("command %d of 1000 is not known", i)
		}
		if known {
			matches(t, strconv.Itoa(int(i)), got, Applied{First: 2*i + 1, Last: 2*i + 1, Offset: int64(i) << 30})
		}
	}
	if most := 2*128 + 4*blockSize; len(w.blocks)*blockSize+len(w.latest) > most {
		t.Errorf("it holds %d blocks and %d more; at most %d entries are of use", len(w.blocks), len(w.latest), most)
	}
}

// An id that was forgotten may come again: then it is the later one that counts,
// also once the earlier would have been forgotten a second time.
func TestAnIDThatCameBack(t *testing.T) {
	w := apply(300, time.Hour)
	at := noon.Add(300 * time.Hour)
	add := func(id string, sequence uint32) {
		w.add(digestOf(id), sequence, 0, at.Unix())
		at = at.Add(time.Hour)
	}
	add("0", 301)
	for i := range uint32(100) {
		add("x"+strconv.Itoa(int(i)), 302+i)
	}
	got, ok := w.find("0")
	if !ok {
		t.Fatal("it is not known")
	}
	if got.Last < 301 {
		t.Errorf("it led to %+v, want page 301", got)
	}
}
