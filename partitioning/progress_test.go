package partitioning

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestProgress(t *testing.T) {
	for name, row := range map[string]struct {
		low      int64
		metadata string
		steps    string // "a3" admits, "a3-" is not admitted, "f3" finishes, "u3" undoes, "s" settles
		want     string // what a successor finds: low, then finished stretches
	}{
		"nothing":                     {5, "", "", "5"},
		"in order":                    {5, "", "a5 f5 s a6 f6 s", "7"},
		"out of order":                {5, "", "a5 a6 a7 f7 f6 s", "5 6-8"},
		"not settled yet":             {5, "", "a5 a6 f6 s a7 f7", "5 6-8"},
		"taken back":                  {5, "", "a5 a6 f5 f6 u5", "5 6-7"},
		"taken back after another":    {5, "", "a5 a6 a7 f6 s f5 u5 f7 s", "5 6-8"},
		"markers count as neighbours": {5, "", "a5 a7 a9 a11 f7 f9 s", "5 7-10"},
		"the same again":              {5, "", "a5 a5- a4-", "5"},
		"a gap at the end":            {5, "", "a5 a6 a9 f5 f6 s", "9"},
		"taken over":                  {5, "5 6-8", "a5 a6- a7- a8 f8 s", "5 6-9"},
		"caught up within a stretch":  {5, "5 6-9", "a5 f5 s a6-", "9"},
		"caught up before a stretch":  {5, "5 6-9", "a5 f5 s", "6 6-9"},
		"over a stretch in one step":  {5, "5 6-8 9-11", "a5 a12 f12 s", "5 6-13"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Progress{next: row.low}
			if row.metadata != "" {
				p = successor(t, row.metadata)
			}
			for _, step := range strings.Fields(row.steps) {
				var offset int64
				_, _ = fmt.Sscanf(step[1:], "%d", &offset)
				switch step[0] {
				case 'a':
					if got, want := p.Admit(offset), !strings.HasSuffix(step, "-"); got != want {
						t.Fatalf("%s: admitted: %v", step, got)
					}
				case 'f':
					p.Finish(offset)
				case 'u':
					p.Undo(offset)
				case 's':
					p.Settle()
				}
			}
			if got := found(t, p); got != row.want {
				t.Errorf("a successor finds %q, want %q", got, row.want)
			}
		})
	}
}

// found says what a successor finds: low, then the finished stretches.
func found(t *testing.T, p *Progress) string {
	t.Helper()
	low, metadata := p.offset()
	next, err := restore(low, metadata)
	if err != nil {
		t.Fatalf("%d %q: %v", low, metadata, err)
	}
	text := fmt.Sprint(low)
	for _, s := range next.done {
		text += fmt.Sprintf(" %d-%d", s.from, s.to)
	}
	return text
}

// successor makes what found describes.
func successor(t *testing.T, text string) *Progress {
	t.Helper()
	fields := strings.Fields(text)
	p := &Progress{}
	_, _ = fmt.Sscanf(fields[0], "%d", &p.next)
	for _, f := range fields[1:] {
		var s stretch
		_, _ = fmt.Sscanf(f, "%d-%d", &s.from, &s.to)
		p.done = append(p.done, s)
	}
	low, metadata := p.offset()
	next, err := restore(low, metadata)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// A partition of which some offsets hold no record is worked off by one owner
// after the other, each from what the last one committed. Whatever they do, no
// record is finished twice in the committed view, and none is left out.
func TestProgressOfManyOwners(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		if err := workOff(r); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// workOff is a model of owners: what they have committed is true, what they have
// not is lost with them.
func workOff(r *rand.Rand) error {
	var records []int64
	for at := int64(0); len(records) < 2000; at += 1 + int64(r.IntN(3))/2 {
		records = append(records, at)
	}
	low, metadata := int64(0), ""
	finished := make(map[int64]bool) // in the committed view
	for len(finished) < len(records) {
		p, err := restore(low, metadata)
		if err != nil {
			return err
		}
		read, _ := slices.BinarySearch(records, low)
		var open []int64
		for range 1 + r.IntN(40) {
			for n := r.IntN(1 + []int{3, 30, 300}[r.IntN(3)]); n > 0 && read < len(records) && !p.Full(); n-- {
				switch at := records[read]; {
				case p.Admit(at) == finished[at]:
					return fmt.Errorf("offset %d: admitted %v although finished %v (committed %d %q)", at, !finished[at], finished[at], low, metadata)
				case !finished[at]:
					open = append(open, at)
				}
				read++
			}
			// The first are the slowest.
			batch := make([]int64, 0, len(open))
			open = slices.DeleteFunc(open, func(at int64) bool {
				if r.IntN(4) == 0 || at == open[0] && r.IntN(10) > 0 {
					return false
				}
				batch = append(batch, at)
				return true
			})
			for _, at := range batch {
				p.Finish(at)
			}
			if r.IntN(3) == 0 { // not committed
				for _, at := range batch {
					p.Undo(at)
				}
				open = append(open, batch...)
				slices.Sort(open)
				continue
			}
			low, metadata = p.offset()
			if len(metadata) > maxMetadata {
				return fmt.Errorf("metadata of %d bytes", len(metadata))
			}
			for _, at := range batch {
				finished[at] = true
			}
			if i := slices.IndexFunc(records, func(at int64) bool { return !finished[at] }); i >= 0 && records[i] < low {
				return fmt.Errorf("offset %d is left out: committed %d %q", records[i], low, metadata)
			}
			if r.IntN(5) > 0 {
				p.Settle()
			}
		}
	}
	return nil
}

// The most that can be unfinished, as far apart as can be, goes into the
// metadata, before and after a takeover.
func TestProgressMetadataIsBounded(t *testing.T) {
	for _, apart := range []int64{2, 1000, maxSpread / maxUnfinished, maxSpread} {
		p := &Progress{}
		longest, at := 0, int64(0)
		for ; !p.Full(); at += apart {
			p.Admit(at)
			p.Admit(at + apart/2)
			p.Finish(at + apart/2)
			_, metadata := p.offset()
			longest = max(longest, len(metadata))
		}
		low, metadata := p.offset()
		next, err := restore(low, metadata)
		if err != nil {
			t.Fatal(err)
		}
		for at := int64(0); !next.Full(); at += apart / 2 {
			next.Admit(at)
			_, metadata := next.offset()
			longest = max(longest, len(metadata))
		}
		if longest > maxMetadata {
			t.Errorf("%d apart: metadata of %d bytes", apart, longest)
		}
		t.Logf("%d apart: up to %d bytes", apart, longest)
	}
}

func TestProgressRefusesForeignMetadata(t *testing.T) {
	for _, metadata := range []string{
		"x", "a1", "a2:", "a1:!", "a1:AQ", // no version, unknown, no base64, one varint
		"a1:AQA",                                                      // an empty stretch
		"a1:" + strings.Repeat("/", 14) + "8BAQ", "a1:////////////AQ", // overflows
	} {
		if p, err := restore(7, metadata); err == nil {
			t.Errorf("%q was taken for %+v", metadata, p)
		}
	}
}

func FuzzRestore(f *testing.F) {
	f.Add(int64(0), "")
	f.Add(int64(7), "a1:AQE")
	f.Add(int64(7), "a1:AQIDBA")
	f.Add(int64(1<<62), "a1:AQIDBA")
	f.Add(int64(3), "a1:AAEBAQ")
	f.Add(int64(3), "a1:////////////////AQE")
	f.Add(int64(3), "a2:AQE")
	f.Fuzz(func(t *testing.T, low int64, metadata string) {
		if low < 0 {
			return
		}
		p, err := restore(low, metadata)
		if err != nil {
			return
		}
		at := low
		for _, s := range p.done {
			if s.from < at || s.to <= s.from {
				t.Fatalf("%d %q: stretch %v behind %d", low, metadata, s, at)
			}
			at = s.to
		}
		if len(metadata) > maxMetadata {
			return // not ours
		}
		again, text := p.offset()
		q, err := restore(again, text)
		if err != nil || again != low || !slices.Equal(q.done, p.done) {
			t.Fatalf("%d %q: handed on as %d %q, %v", low, metadata, again, text, err)
		}
	})
}
