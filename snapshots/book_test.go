package snapshots

import (
	"strconv"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// The bytes that go to business logic are written by hand; they must be what
// protobuf would have made.
func TestABookIsAnEventBook(t *testing.T) {
	pages := map[string]log.Page{
		"usual":             {CreatedAt: noon, TypeURL: "type.googleapis.com/a.B", Value: []byte("value")},
		"empty value":       {CreatedAt: noon, TypeURL: "type.googleapis.com/a.B", Value: []byte{}},
		"synchronous":       {CreatedAt: noon, TypeURL: "x/a.B", Synchronous: true},
		"with nanoseconds":  {CreatedAt: noon.Add(time.Nanosecond), TypeURL: "a.B"},
		"before 1970":       {CreatedAt: time.Unix(-1_000_000, 5).UTC(), TypeURL: "x/a.B"},
		"the year one":      {CreatedAt: time.Time{}, TypeURL: "x/a.B"},
		"longer than 127 B": {CreatedAt: noon, TypeURL: "x/a.B", Value: make([]byte, 300)},
	}
	for name, page := range pages {
		t.Run(name, func(t *testing.T) {
			page.Sequence = 1
			var b Book
			b.AddPage(&page, noon)
			want := &angzarr.EventBook{Pages: []*angzarr.EventPage{page.Proto()}}
			check(t, &b, want)
			second := page
			second.Sequence = 2
			b.AddPage(&second, noon)
			want.Pages = append(want.Pages, second.Proto())
			check(t, &b, want)

			s := &angzarr.Snapshot{Sequence: 2, State: &anypb.Any{TypeUrl: "x/S", Value: []byte("state")}}
			b.SetSnapshot(s, 7)
			third := page
			third.Sequence = 3
			b.AddPage(&third, noon)
			check(t, &b, &angzarr.EventBook{Snapshot: s, Pages: []*angzarr.EventPage{third.Proto()}})
		})
	}
}

func check(t *testing.T, b *Book, want *angzarr.EventBook) {
	t.Helper()
	var got angzarr.EventBook
	if err := proto.Unmarshal(b.AppendTo(nil), &got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&got, want) {
		t.Errorf("got %v, want %v", &got, want)
	}
	if b.Size() != proto.Size(want) && b.Size() != len(b.AppendTo(nil)) {
		t.Errorf("size %d, want %d", b.Size(), proto.Size(want))
	}
}

func TestPagesThatTheOpenBookHas(t *testing.T) {
	var b Book
	for n := range uint32(6) {
		b.AddPage(&log.Page{Sequence: n + 1, CreatedAt: noon, TypeURL: "x/" + strconv.Itoa(int(n))}, noon)
		if n == 2 {
			b.SetSnapshot(&angzarr.Snapshot{Sequence: 3}, 0)
		}
	}
	cases := []struct {
		name        string
		first, last uint32
		there       bool
	}{
		{"all that are there", 4, 6, true},
		{"one", 5, 5, true},
		{"one that the snapshot covers", 3, 3, false},
		{"from one that the snapshot covers", 3, 4, false},
		{"past the last", 6, 7, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pages, there := b.Pages(c.first, c.last)
			if there != c.there {
				t.Fatalf("there: %v", there)
			}
			for i, p := range pages {
				if p.GetNum() != c.first+uint32(i) {
					t.Errorf("page %d is number %d", i, p.GetNum())
				}
			}
			if there && len(pages) != int(c.last-c.first)+1 {
				t.Errorf("%d pages", len(pages))
			}
		})
	}
}
