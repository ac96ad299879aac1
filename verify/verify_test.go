package verify

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const partitions = 3

var root = log.Root{1, 2, 3}

// world is a log that is being made.
type world struct {
	t       *testing.T
	domain  string
	records []log.Record
	offset  int64
}

func (w *world) add(r log.Record) *log.Record {
	r.Offset = w.offset
	w.offset++
	w.records = append(w.records, r)
	return &w.records[len(w.records)-1]
}

// page adds the next page of a command, as a worker writes it.
func (w *world) page(number uint32, command string) *log.Record {
	p := log.Page{Root: root, Sequence: number, TypeURL: "type.googleapis.com/x.Y", Value: []byte("v"), Cause: log.Cause{CommandID: command, CorrelationID: command}}
	return w.add(p.Encode(w.domain, partitioning.Of(root, partitions)))
}

func (w *world) keyed(key []byte, value proto.Message) *log.Record {
	r := log.Record{Topic: log.EventsTopic(w.domain), Partition: partitioning.Of(root, partitions), Key: key}
	if value != nil {
		text, err := proto.Marshal(value)
		if err != nil {
			w.t.Fatal(err)
		}
		r.Value = append([]byte{}, text...)
	}
	return w.add(r)
}

func (w *world) snapshot(of uint32) {
	w.keyed(log.SnapshotKey(root), &angzarr.Snapshot{Sequence: of})
}

func (w *world) erased(through uint32) {
	w.keyed(log.PageKey(root, 0), &angzarr.Erased{LastSequence: through})
}

func (w *world) outcome(code int32, first, last uint32) {
	o := &angzarr.Outcome{CommandId: "c", Code: code, FirstPage: first, LastPage: last, Cover: &angzarr.Cover{Root: &angzarr.UUID{Value: root[:]}}}
	w.keyed(root[:], o).Topic = log.OutcomesTopic(w.domain)
}

// judged is what the proof says of the log.
func (w *world) judged() *Report {
	r := &Report{}
	l := newLedger(w.domain, partitions, r)
	for i := range w.records {
		if w.records[i].Topic == log.EventsTopic(w.domain) {
			l.event(&w.records[i])
		}
	}
	l.judge()
	for i := range w.records {
		if w.records[i].Topic == log.OutcomesTopic(w.domain) {
			l.outcome(&w.records[i])
		}
	}
	return r
}

func TestWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(w *world)
		want string // "" if nothing is
	}{
		{"nothing", func(*world) {}, ""},
		{"pages", func(w *world) { w.page(1, "a"); w.page(2, "a"); w.page(3, "b") }, ""},
		{"a snapshot", func(w *world) { w.page(1, "a"); w.page(2, "b"); w.snapshot(2); w.page(3, "c") }, ""},
		{"the first is missing", func(w *world) { w.page(2, "a") }, "page 2 of command a, at offset 0, follows upon page 0"},
		{"a gap", func(w *world) { w.page(1, "a"); w.page(3, "b") }, "page 3 of command b, at offset 1, follows upon page 1"},
		{"a number twice", func(w *world) { w.page(1, "a"); w.page(1, "b") }, "page 1 of command b, at offset 1, follows upon page 1"},
		{"another partition", func(w *world) { r := w.page(1, "a"); r.Partition = (r.Partition + 1) % partitions }, "page 1 lies in partition"},
		{"a command twice", func(w *world) { w.page(1, "a"); w.page(2, "b"); w.page(3, "a") }, "page 3 is of command a, which was applied before"},
		{"a command twice, 128 later", func(w *world) {
			w.page(1, "a")
			for n := range uint32(127) {
				w.page(n+2, fmt.Sprint("c", n))
			}
			w.page(129, "a")
		}, "page 129 is of command a"},
		{"an id that may have been forgotten", func(w *world) {
			w.page(1, "a")
			for n := range uint32(128) {
				w.page(n+2, fmt.Sprint("c", n))
			}
			w.page(130, "a")
		}, ""},
		{"an id of another page", func(w *world) { w.page(1, "a").Headers[2].Value = []byte("x/1") }, `its header ce_id is "x/1", not "01020300-0000-0000-0000-000000000000/1"`},
		{"of another domain", func(w *world) { w.page(1, "a").Headers[4].Value = []byte("angzarr/x") }, `its header ce_source is "angzarr/x", not "angzarr/d"`},
		{"no type", func(w *world) { r := w.page(1, "a"); r.Headers = r.Headers[:3] }, "header ce_type is missing"},
		{"no key of ours", func(w *world) { w.keyed([]byte("x"), &angzarr.Snapshot{}) }, "its key of 1 bytes is no page's"},
		{"a snapshot of pages to come", func(w *world) { w.page(1, "a"); w.snapshot(2) }, "a snapshot of page 2 follows upon page 1"},
		{"a snapshot that is none", func(w *world) {
			w.page(1, "a")
			w.keyed(log.SnapshotKey(root), &angzarr.Snapshot{}).Value = []byte{0xff}
		}, "its snapshot can't be read"},
		{"an erasure", func(w *world) {
			w.page(1, "a")
			w.snapshot(1)
			w.erased(1)
			w.keyed(log.SnapshotKey(root), nil)
			w.keyed(log.PageKey(root, 1), nil)
			w.erased(1)
		}, ""},
		{"an erasure that is half compacted away", func(w *world) { w.page(2, "b"); w.page(5, "c"); w.keyed(log.PageKey(root, 3), nil); w.erased(6) }, ""},
		{"a page after the erasure", func(w *world) { w.page(1, "a"); w.erased(1); w.page(2, "b") }, "it comes after the root's erasure"},
		{"an erasure of too little", func(w *world) { w.page(1, "a"); w.page(2, "b"); w.erased(1) }, "erased up to page 1, and page 2 is there"},
		{"two erasures that differ", func(w *world) { w.erased(1); w.erased(2) }, "erased up to page 2, and before up to page 1"},
		{"the word of an erasure is taken back", func(w *world) { w.keyed(log.PageKey(root, 0), nil) }, "the word of its erasure is a tombstone"},
		{"a tombstone of nobody", func(w *world) { w.page(1, "a"); w.keyed(log.PageKey(root, 1), nil) }, "a tombstone, and the root is not erased"},
		{"outcomes", func(w *world) { w.page(1, "a"); w.outcome(0, 1, 1); w.outcome(9, 0, 0); w.outcome(0, 0, 0) }, ""},
		{"an outcome of pages that are not there", func(w *world) { w.page(1, "a"); w.outcome(0, 2, 3) }, "the outcome of command c names pages 2 to 3, the log ends at page 1"},
		{"an outcome of a root that is not there", func(w *world) { w.outcome(0, 1, 1) }, "names pages 1 to 1, the log ends at page 0"},
		{"an outcome of what was erased since", func(w *world) { w.page(1, "a"); w.erased(1); w.outcome(0, 1, 1) }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &world{t: t, domain: "d"}
			tc.make(w)
			r := w.judged()
			switch {
			case tc.want == "" && r.Wrong != 0:
				t.Errorf("found %+v", r.Findings)
			case tc.want != "" && (r.Wrong != 1 || !strings.Contains(r.Findings[0].Text, tc.want)):
				t.Errorf("found %+v, want %s", r.Findings, tc.want)
			}
		})
	}
}

// Where all is wrong the first findings are enough.
func TestManyFindings(t *testing.T) {
	w := &world{t: t, domain: "d"}
	for n := range uint32(mostFindings + 10) {
		w.page(2*n+2, fmt.Sprint(n))
	}
	if r := w.judged(); r.Wrong != mostFindings+10 || len(r.Findings) != mostFindings {
		t.Errorf("%d are wrong, %d are told", r.Wrong, len(r.Findings))
	}
}

// A domain is read from a broker, all of it, and how far that is is told.
func TestDomain(t *testing.T) {
	b := logtest.Start(t)
	domain := b.Domain("verified")
	admin, err := b.Cluster.NewAdmin("test")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.EnsureDomain(t.Context(), domain, log.TopicSettings{Partitions: partitions, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	writer, err := b.Cluster.NewWriter("test")
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	const roots, pages = 20, 5
	for i := range byte(roots) {
		for n := range uint32(pages) {
			if i == 7 && n == 3 {
				continue
			}
			id := fmt.Sprint(i, "/", n)
			p := log.Page{Root: log.Root{i}, Sequence: n + 1, TypeURL: "type.googleapis.com/x.Y", Cause: log.Cause{CommandID: id, CorrelationID: id}}
			record := p.Encode(domain, partitioning.Of(p.Root, partitions))
			if err := writer.Write(t.Context(), &record); err != nil {
				t.Fatal(err)
			}
		}
	}
	var told, total int64
	r, err := Domain(t.Context(), Options{Cluster: b.Cluster, Domain: domain, Tell: func(done, of int64) {
		if done <= told {
			t.Errorf("%d done after %d", done, told)
		}
		told, total = done, of
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Roots != roots || r.Pages != roots*pages-1 || r.Partitions != partitions || told != total || total != roots*pages-1 {
		t.Errorf("%+v, %d of %d", r, told, total)
	}
	if r.Wrong != 1 || r.Findings[0].Topic != log.EventsTopic(domain) || !strings.Contains(r.Findings[0].Text, "page 5 of command 7/4") {
		t.Errorf("found %+v", r.Findings)
	}
	if _, err := Domain(t.Context(), Options{Cluster: b.Cluster, Domain: b.Domain("missing")}); err == nil {
		t.Error("a domain that is not there was verified")
	}
}

// BenchmarkLedger takes pages in, of many roots in turn, without reading them.
func BenchmarkLedger(b *testing.B) {
	const roots, pages = 2000, 50
	var records []log.Record
	for n := range uint32(pages) {
		for i := range roots {
			id := fmt.Sprint(i, "/", n)
			p := log.Page{Root: log.Root{byte(i), byte(i >> 8)}, Sequence: n + 1, TypeURL: "type.googleapis.com/x.Y", Value: []byte("v"), Cause: log.Cause{CommandID: id, CorrelationID: id}}
			records = append(records, p.Encode("d", partitioning.Of(p.Root, partitions)))
		}
	}
	for b.Loop() {
		r := &Report{}
		l := newLedger("d", partitions, r)
		for i := range records {
			l.event(&records[i])
		}
		if l.judge(); r.Wrong > 0 || r.Pages != roots*pages {
			b.Fatal(r)
		}
	}
	b.ReportMetric(float64(len(records)*b.N)/b.Elapsed().Seconds(), "pages/s")
}
