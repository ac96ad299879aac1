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
		oldest  int
	}{
		{"few, long ago", 128, 24 * time.Hour, 0},
		{"many, long ago: the last 128, and the one that put the others out", 1000, 24 * time.Hour, 1000 - 129},
		{"many in a moment: all", 5000, time.Millisecond, 0},
		{"one a second: those of 15 minutes", 5000, time.Second, 5000 - 1 - 900},
		{"one in 7 s: 129 take longer than 15 minutes", 1000, 7 * time.Second, 1000 - 129},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := apply(c.n, c.between)
			for i := range c.n {
				first, last, offset, known := w.find(strconv.Itoa(i))
				if known != (i >= c.oldest) {
					t.Fatalf("command %d of %d is known: %v; the oldest that must be is %d", i, c.n, known, c.oldest)
				}
				if known && (first != uint32(i+1) || last != first || offset != int64(10*i)) {
					t.Fatalf("command %d led to %d–%d at %d", i, first, last, offset)
				}
			}
		})
	}
}

func TestPagesOfOneCommand(t *testing.T) {
	var w window
	for i, id := range []string{"a", "b", "b", "b", "", "c", "c"} {
		w.add(digestOf(id), uint32(i+1), int64(i), noon.Unix())
	}
	for id, want := range map[string][2]uint32{"a": {1, 1}, "b": {2, 4}, "c": {6, 7}} {
		if first, last, _, ok := w.find(id); !ok || [2]uint32{first, last} != want {
			t.Errorf("%q led to %d–%d, want %v", id, first, last, want)
		}
	}
	if _, _, _, ok := w.find(""); ok {
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
		first, last, offset, ok := w.find(strconv.Itoa(int(i)))
		if ok != (i >= 1000-128) {
			t.Fatalf("command %d of 1000 is known: %v", i, ok)
		}
		if ok && (first != 2*i+1 || last != first || offset != int64(i)<<30) {
			t.Fatalf("command %d led to %d–%d at %d", i, first, last, offset)
		}
	}
	if want := 2 * 128; len(w.commands) != want || w.foreign != 128 {
		t.Errorf("it holds %d entries, %d of them foreign; want %d and 128", len(w.commands), w.foreign, want)
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
	if first, _, _, ok := w.find("0"); !ok || first != 301 {
		t.Errorf("it led to %d (%v), want 301", first, ok)
	}
}
