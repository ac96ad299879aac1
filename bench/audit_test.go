package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/log"
)

// The audit is what makes figures worth anything, so it is shown each thing that
// it must not let pass.
func TestAuditFindsWhatIsWrong(t *testing.T) {
	roots := newRoots(1, 2)
	type page struct {
		root, number int
		command      uint64
	}
	tests := map[string]struct {
		pages []page
		acked []uint64
		wrong string
	}{
		"all there":            {pages: []page{{0, 1, 0}, {1, 1, 1}, {0, 2, 2}}, acked: []uint64{0, 1, 2}},
		"one in doubt":         {pages: []page{{0, 1, 0}, {0, 2, 1}}, acked: []uint64{0}},
		"an acknowledged lost": {pages: []page{{0, 1, 0}}, acked: []uint64{0, 1}, wrong: "1 of 2 acknowledged"},
		"a command twice":      {pages: []page{{0, 1, 0}, {0, 2, 0}}, acked: []uint64{0}, wrong: "2 times"},
		"nobody's command":     {pages: []page{{0, 1, 3}}, wrong: "never sent"},
		"a gap":                {pages: []page{{0, 1, 0}, {0, 3, 1}}, wrong: "page 3 after page 1"},
		"a number twice":       {pages: []page{{0, 1, 0}, {0, 1, 1}}, wrong: "page 1 after page 1"},
		"no first page":        {pages: []page{{1, 2, 0}}, wrong: "page 2 after page 0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ledger := &ledger{acked: test.acked}
			ledger.issued.Store(3)
			books := books{found: make(entries, 3), last: map[root]uint32{}, numbered: true}
			var err error
			for _, p := range test.pages {
				payload := newFiller().payload(64, stamp{index: p.command})
				key := log.PageKey(log.Root(roots[p.root]), uint32(p.number))
				if err = books.add(&kgo.Record{Key: key, Value: payload.GetValue()}); err != nil {
					break
				}
			}
			if err == nil {
				err = ledger.check(books.found)
			}
			switch {
			case test.wrong == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)):
				t.Errorf("got %v, want %q", err, test.wrong)
			}
		})
	}
}

func TestPayloadIsAsLongAsAskedFor(t *testing.T) {
	filler := newFiller()
	for _, size := range []int{smallestPayload, 128, 129, 130, 131, 200, 1 << 14, 1<<14 + 5, 1 << 18} {
		sent := stamp{sent: time.Unix(7, 8), index: 123456}
		payload := filler.payload(size, sent)
		if got := len(payload.GetValue()); got < size-1 || got > size {
			t.Errorf("size %d: %d bytes", size, got)
		}
		if err := payload.UnmarshalTo(&wrapperspb.BytesValue{}); err != nil {
			t.Errorf("size %d: %v", size, err)
		}
		if got, err := stampOf(payload.GetValue()); err != nil || !got.sent.Equal(sent.sent) || got.index != sent.index {
			t.Errorf("size %d: read %v, %v", size, got, err)
		}
	}
}

func TestServeConfigIsTaken(t *testing.T) {
	d := deployment{domain: "bench-x-ours-1", front: "127.0.0.1:1", logic: "127.0.0.1:2"}
	content, err := d.serveConfig(Options{Brokers: []string{"127.0.0.1:3"}, Partitions: 12, Replication: 1}, "127.0.0.1:4")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "serve.yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Log.Partitions != 12 || loaded.BusinessLogic[0].Domain != d.domain {
		t.Errorf("read as %+v", loaded)
	}
}

func TestPercentilesAreNearestRank(t *testing.T) {
	took := make([]time.Duration, 200)
	for i := range took {
		took[i] = time.Duration(200-i) * time.Millisecond
	}
	if got, want := newLatency(took), (Latency{P50: 100, P95: 190, P99: 198, Max: 200}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := newSpread([]float64{3, 1, 2, 10}), (Spread{Median: 2.5, Min: 1, Max: 10}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
