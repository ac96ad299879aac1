package business

import (
	"strings"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func TestScan(t *testing.T) {
	type book = angzarr.CommandBook
	type page = angzarr.CommandPage
	c, empty := payload("C"), &anypb.Any{TypeUrl: "x/C"}
	more := func(number protowire.Number, value string) []byte {
		return protowire.AppendString(protowire.AppendTag(mustMarshal(goodCommand()), number, protowire.BytesType), value)
	}
	for name, tc := range map[string]struct {
		book []byte
		ok   bool
	}{
		"one page":           {mustMarshal(goodCommand()), true},
		"ids":                {mustMarshal(goodCommand("a", "b")), true},
		"a sequence":         {mustMarshal(&book{Cover: theCover(), Pages: []*page{{Sequence: 1<<32 - 1, Command: c}}}), true},
		"several pages":      {mustMarshal(&book{Cover: theCover(), Pages: []*page{{Sequence: 7, Command: c}, {Sequence: 9, Command: empty, Synchronous: true}}}), true},
		"a saga's":           {mustMarshal(&book{Cover: theCover(), Pages: []*page{{Command: c}}, SagaOrigin: &angzarr.SagaOrigin{Hops: 3}}), false},
		"another domain":     {mustMarshal(&book{Cover: coverOf("x", theRoot), Pages: []*page{{Command: c}}}), false},
		"no cover":           {mustMarshal(&book{Pages: []*page{{Command: c}}}), false},
		"no root":            {mustMarshal(&book{Cover: &angzarr.Cover{Domain: "d"}, Pages: []*page{{Command: c}}}), false},
		"a root too long":    {mustMarshal(&book{Cover: &angzarr.Cover{Domain: "d", Root: &angzarr.UUID{Value: make([]byte, 17)}}, Pages: []*page{{Command: c}}}), false},
		"no pages":           {mustMarshal(&book{Cover: theCover()}), false},
		"no command":         {mustMarshal(&book{Cover: theCover(), Pages: []*page{{Sequence: 1}}}), false},
		"no type":            {mustMarshal(&book{Cover: theCover(), Pages: []*page{{Command: &anypb.Any{Value: []byte("x")}}}}), false},
		"an id too long":     {mustMarshal(goodCommand(strings.Repeat("x", maxID+1), "")), false},
		"an id twice":        {append(mustMarshal(goodCommand("a", "")), more(100, "b")[len(mustMarshal(goodCommand())):]...), false},
		"a cover twice":      {append(mustMarshal(goodCommand()), mustMarshal(&book{Cover: theCover()})...), false},
		"an id that is none": {more(100, "\xff"), false},
		"an unknown field":   {more(99, "x"), false},
		"cut":                {mustMarshal(goodCommand())[:20], false},
		"nothing":            {nil, false},
	} {
		o, ok := scan("d", tc.book)
		if ok != tc.ok {
			t.Errorf("%s: it is scanned: %t", name, ok)
		}
		if ok {
			wantSame(t, o, tc.book)
		}
	}
}

// wantSame wants a scan to say what the message does.
func wantSame(t *testing.T, o order, encoded []byte) {
	t.Helper()
	message := &angzarr.CommandBook{}
	if err := proto.Unmarshal(encoded, message); err != nil {
		t.Fatalf("what was scanned is no message: %v", err)
	}
	if st := CheckCommands(message); st != nil {
		t.Fatalf("what was scanned is refused: %v", st)
	}
	if want := orderOf(message); o != want {
		t.Fatalf("scanned as %+v, want %+v", o, want)
	}
}

// FuzzScan: what is scanned is a right book, and says the same as its message.
func FuzzScan(f *testing.F) {
	synchronous := goodCommand("a", "b")
	synchronous.Pages = append(synchronous.Pages, &angzarr.CommandPage{Sequence: 3, Synchronous: true, Command: payload("D")})
	for _, b := range []*angzarr.CommandBook{goodCommand(), goodCommand("a", ""), synchronous, {Cover: coverOf("d", log.Root{})}} {
		f.Add(mustMarshal(b))
	}
	f.Fuzz(func(t *testing.T, book []byte) {
		if o, ok := scan("d", book); ok {
			wantSame(t, o, book)
		}
	})
}
