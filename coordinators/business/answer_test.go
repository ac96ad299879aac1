package business

import (
	"bytes"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// usualAnswer holds all that a usual answer may.
func usualAnswer() *angzarr.EventBook {
	return &angzarr.EventBook{
		Cover: theCover(), Snapshot: &angzarr.Snapshot{Sequence: 7, State: payload("S")},
		Pages: []*angzarr.EventPage{{
			Sequence:  &angzarr.EventPage_Num{Num: 7},
			CreatedAt: &timestamppb.Timestamp{Seconds: -1, Nanos: 999_999_999},
			Event:     payload("E"), Synchronous: true,
		}},
	}
}

func TestReadAnswer(t *testing.T) {
	type book = angzarr.EventBook
	type page = angzarr.EventPage
	e := payload("E")
	again := func(b *book) []byte { return append(mustMarshal(usualAnswer()), mustMarshal(b)...) }
	unknown := protowire.AppendString(protowire.AppendTag(mustMarshal(usualAnswer()), 99, protowire.BytesType), "x")
	for name, tc := range map[string]struct {
		answer []byte
		usual  bool
	}{
		"all of it":               {mustMarshal(usualAnswer()), true},
		"an event":                {mustMarshal(&book{Pages: []*page{{Event: e}}}), true},
		"an event of no bytes":    {mustMarshal(&book{Pages: []*page{{Event: &anypb.Any{TypeUrl: "x/E"}}}}), true},
		"a page without event":    {mustMarshal(&book{Pages: []*page{{}}}), true},
		"a snapshot alone":        {mustMarshal(&book{Snapshot: &angzarr.Snapshot{State: e}}), true},
		"a snapshot of nothing":   {mustMarshal(&book{Snapshot: &angzarr.Snapshot{}}), true},
		"nothing":                 {nil, true},
		"two events":              {mustMarshal(&book{Pages: []*page{{Event: e}, {Event: e}}}), false},
		"force":                   {mustMarshal(&book{Pages: []*page{{Event: e, Sequence: &angzarr.EventPage_Force{Force: true}}}}), false},
		"another domain":          {mustMarshal(&book{Cover: coverOf("x", theRoot), Pages: []*page{{Event: e}}}), false},
		"a root of 15 bytes":      {mustMarshal(&book{Cover: &angzarr.Cover{Domain: "d", Root: &angzarr.UUID{Value: make([]byte, 15)}}}), false},
		"ids":                     {mustMarshal(&book{CommandId: "c", Pages: []*page{{Event: e}}}), false},
		"a cover twice":           {again(&book{Cover: theCover()}), false},
		"a snapshot twice":        {again(&book{Snapshot: &angzarr.Snapshot{State: e}}), false},
		"an unknown field":        {unknown, false},
		"a field of another kind": {protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), 1), false},
	} {
		if _, usual := readUsual("d", tc.answer); usual != tc.usual {
			t.Errorf("%s: it is usual: %t", name, usual)
		}
		wantRead(t, tc.answer)
	}
	for name, broken := range map[string][]byte{
		"cut":                    mustMarshal(usualAnswer())[:30],
		"a type that is no text": bytes.Replace(mustMarshal(usualAnswer()), []byte("type.g"), []byte("type\xffg"), 1),
	} {
		if _, err := readAnswer("d", broken); err == nil {
			t.Errorf("%s: it is read", name)
		}
	}
}

// TestAnswersShareNothing: the bytes of an answer go back to gRPC once it is read.
func TestAnswersShareNothing(t *testing.T) {
	encoded := mustMarshal(usualAnswer())
	answer, err := readAnswer("d", encoded)
	if err != nil {
		t.Fatal(err)
	}
	clear(encoded)
	if !proto.Equal(answer, usualAnswer()) {
		t.Errorf("an answer changed with the bytes that it was read from: %v", answer)
	}
	if at := answer.Pages[0].CreatedAt.AsTime(); !at.Equal(time.Unix(-1, 999_999_999)) {
		t.Errorf("the page is of %v", at)
	}
}

// wantRead wants an answer to be read as protobuf reads it.
func wantRead(t *testing.T, encoded []byte) {
	t.Helper()
	want := &angzarr.EventBook{}
	wanted := proto.Unmarshal(encoded, want)
	got, err := readAnswer("d", encoded)
	if (err == nil) != (wanted == nil) {
		t.Fatalf("reading %x: %v, want %v", encoded, err, wanted)
	}
	if err == nil && !proto.Equal(got, want) {
		t.Fatalf("read as %v, want %v", got, want)
	}
}

// FuzzReadAnswer: an answer is read as protobuf reads it.
func FuzzReadAnswer(f *testing.F) {
	f.Add(mustMarshal(usualAnswer()))
	f.Add(mustMarshal(&angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: payload("E")}, {Event: payload("F")}}}))
	f.Add(mustMarshal(&angzarr.EventBook{Cover: coverOf("x", log.Root{})}))
	f.Fuzz(wantRead)
}
