package business

import (
	"fmt"
	"strings"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Whatever of an erasure is committed before its owner dies, all pages and letters
// get their tombstones in the end, each once, and the word of it comes first.
func TestErasureStepByStep(t *testing.T) {
	letters := func(n int) (ids []log.LetterID) {
		for i := range n {
			ids = append(ids, log.LetterID{Source: log.Source{Topic: "t", Offset: int64(i)}})
		}
		return ids
	}
	for _, tc := range []struct {
		name                   string
		last                   uint32
		letters, atOnce, steps int
	}{
		{"one page", 1, 0, 3, 1},
		{"all at once", 3, 0, 3, 1},
		{"one too many", 4, 0, 3, 2},
		{"with letters", 2, 2, 3, 2},
		{"more letters than go at once", 2, 7, 3, 3},
		{"letters that fill a transaction", 3, 3, 3, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var at *angzarr.Erased
			var pages, gone []string
			rest, steps := letters(tc.letters), 0
			for {
				e := nextErasure(at, tc.last, "why", rest, noon, tc.atOnce)
				s := log.NewSheet("d")
				e.write(s, "d", theRoot, 0)
				if _, n, kind := log.ParseKey(s.Records[0].Key); kind != log.KeyErased || n != 0 || s.Records[0].Value == nil {
					t.Fatalf("the first record is of key %x", s.Records[0].Key)
				}
				if len(s.Records) > tc.atOnce+2 {
					t.Errorf("a transaction has %d records", len(s.Records))
				}
				for _, r := range s.Records[1:] {
					if r.Value != nil {
						t.Errorf("%s: %x is no tombstone", r.Topic, r.Key)
					}
					if _, n, kind := log.ParseKey(r.Key); r.Topic == log.EventsTopic("d") && kind == log.KeyPage {
						pages = append(pages, fmt.Sprint(n))
					} else if r.Topic == log.DeadLettersTopic("d") {
						gone = append(gone, string(r.Key))
					}
				}
				at, rest, steps = e.erased, e.rest, steps+1
				if !e.unfinished() {
					break
				}
			}
			var want []string
			for n := range tc.last {
				want = append(want, fmt.Sprint(n+1))
			}
			if strings.Join(pages, " ") != strings.Join(want, " ") || len(gone) != tc.letters || steps != tc.steps {
				t.Errorf("%d steps; pages %v, letters %v", steps, pages, gone)
			}
			if at.LastSequence != tc.last || at.PagesLeft != 0 || at.Reason != "why" || !at.ErasedAt.AsTime().Equal(noon) {
				t.Errorf("it says %v", at)
			}
			// Again: nothing is new but the word of it.
			again := nextErasure(at, tc.last, "another reason", nil, noon.AddDate(1, 0, 0), tc.atOnce)
			if again.unfinished() || again.to >= again.from || again.erased.Reason != "why" || !again.erased.ErasedAt.AsTime().Equal(noon) {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

func TestCheckErase(t *testing.T) {
	good := &angzarr.EraseRequest{Cover: theCover(), Reason: "why", CommandId: "c"}
	for name, tc := range map[string]struct {
		r    *angzarr.EraseRequest
		part string
	}{
		"as it must be":      {good, ""},
		"without a reason":   {&angzarr.EraseRequest{Cover: theCover()}, ""},
		"nothing":            {nil, "cover: "},
		"no root":            {&angzarr.EraseRequest{Cover: &angzarr.Cover{Domain: "d"}}, "cover.root: "},
		"a reason at length": {&angzarr.EraseRequest{Cover: theCover(), Reason: strings.Repeat("x", 1025)}, "reason: "},
		"an id at length":    {&angzarr.EraseRequest{Cover: theCover(), CommandId: strings.Repeat("x", 513)}, "command_id: "},
	} {
		t.Run(name, func(t *testing.T) {
			code := codes.InvalidArgument
			if tc.part == "" {
				code = codes.OK
			}
			wantStatus(t, CheckErase(tc.r), code, tc.part)
		})
	}
}

func TestCannotErase(t *testing.T) {
	gap := log.Page{Root: theRoot, Sequence: 9, TypeURL: "x/e"}
	erased := log.Record{Key: log.PageKey(theRoot, 0), Value: mustMarshal(&angzarr.Erased{LastSequence: 2, ErasedAt: timestamppb.New(noon)})}
	wantStatus(t, cannotErase("d", theRoot, bookWith(t, 2)), codes.OK, "")
	wantStatus(t, cannotErase("d", theRoot, bookWith(t, 2, erased)), codes.OK, "")
	wantStatus(t, cannotErase("d", theRoot, bookWith(t, 0)), codes.NotFound, "nothing was ever written")
	wantStatus(t, cannotErase("d", theRoot, bookWith(t, 2, gap.Encode("d", 0))), codes.DataLoss, "mended")
}
