package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// rawLog is a partition with all that a batch may be: compressed in each way, of
// transactions that were committed, aborted and are open, and of none.
type rawLog struct {
	testing.TB
	client *kgo.Client
	topic  string
	id     [16]byte
}

func newRawLog(t testing.TB, seed uint64) *rawLog {
	t.Helper()
	embedded, err := StartEmbedded(EmbeddedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(embedded.Close)
	connect := func(opts ...kgo.Opt) *kgo.Client {
		c, err := kgo.NewClient(append(Cluster{Brokers: embedded.Brokers()}.Options("test"), opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	l := &rawLog{TB: t, client: connect(), topic: "raw"}
	created, err := kadm.NewClient(l.client).CreateTopic(t.Context(), 1, 1, nil, l.topic)
	if err != nil {
		t.Fatal(err)
	}
	l.id = created.ID
	rng := rand.New(rand.NewPCG(seed, 0))
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		a := connect(kgo.TransactionalID(fmt.Sprint("a", i)), kgo.ProducerBatchCompression(codec))
		b := connect(kgo.TransactionalID(fmt.Sprint("b", i)), kgo.ProducerBatchCompression(codec))
		for range 8 {
			for _, c := range []*kgo.Client{a, b} { // so that transactions overlap
				if err := c.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
				l.write(rng, c)
			}
			for _, c := range []*kgo.Client{b, a} {
				if err := c.EndTransaction(t.Context(), rng.IntN(2) > 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		l.write(rng, connect(kgo.ProducerBatchCompression(codec)))
	}
	open := connect(kgo.TransactionalID("open"))
	if err := open.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	l.write(rng, open)
	return l
}

func (l *rawLog) write(rng *rand.Rand, c *kgo.Client) {
	l.Helper()
	var records []*kgo.Record
	for range 1 + rng.IntN(20) {
		r := &kgo.Record{Topic: l.topic, Key: []byte(fmt.Sprint(rng.IntN(9))), Timestamp: time.UnixMilli(rng.Int64N(1 << 40))}
		if rng.IntN(4) > 0 {
			r.Value = []byte(strings.Repeat("v", rng.IntN(300)))
		}
		for range rng.IntN(4) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: []string{"ce_time", "x", ""}[rng.IntN(3)], Value: []byte{byte(rng.IntN(256))}})
		}
		records = append(records, r)
	}
	if err := c.ProduceSync(l.Context(), records...).FirstErr(); err != nil {
		l.Fatal(err)
	}
}

// fetch gives what the broker answers.
func (l *rawLog) fetch(from int64, size int32) *kmsg.FetchResponseTopicPartition {
	l.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.IsolationLevel, req.SessionEpoch = size, 1, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = l.topic, l.id
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = from, size
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(l.Context(), l.client)
	if err != nil || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		l.Fatalf("fetch: %v, %v", resp, err)
	}
	return &resp.Topics[0].Partitions[0]
}

// What is read is what the client reads, from any offset and wherever an answer was
// cut, and of that what is wanted.
func TestBatchesAreReadAsTheClientReadsThem(t *testing.T) {
	t.Parallel()
	l := newRawLog(t, 1)
	rng := rand.New(rand.NewPCG(1, 1))
	end := l.fetch(0, 1).HighWatermark
	total := 0
	for range 500 {
		from := rng.Int64N(end)
		answer := l.fetch(from, 1+rng.Int32N(20_000))
		if n := len(answer.RecordBatches); n > 0 && rng.IntN(3) == 0 {
			answer.RecordBatches = answer.RecordBatches[:1+rng.IntN(n)]
		}
		theirs, wantNext := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: l.topic}, answer, decompressor, nil)
		if theirs.Err != nil {
			t.Fatal(theirs.Err)
		}
		wanted := func(key []byte) bool { return key[0]%3 > 0 }
		var want, some []Record
		for _, k := range theirs.Records {
			r := FromClient(k)
			if want = append(want, r); wanted(r.Key) {
				some = append(some, r)
			}
		}
		total += len(want)
		for _, tc := range []struct {
			wanted func([]byte) bool
			want   []Record
		}{{nil, want}, {wanted, some}} {
			got, next, err := readBatches(answer, l.topic, from, tc.wanted)
			if err != nil || next != wantNext || !same(got, tc.want) {
				t.Fatalf("from %d: %d records up to %d, %v; want %d up to %d", from, len(got), next, err, len(tc.want), wantNext)
			}
		}
	}
	if total < 1000 {
		t.Errorf("only %d records were compared", total)
	}
}

func same(a, b []Record) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if !x.Time.Equal(y.Time) || len(x.Headers) != len(y.Headers) || len(x.Headers) > 0 && !reflect.DeepEqual(x.Headers, y.Headers) {
			return false
		}
		x.Time, x.Headers, y.Time, y.Headers = time.Time{}, nil, time.Time{}, nil
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}

// What is broken is an error, not other records.
func FuzzBatches(f *testing.F) {
	l := newRawLog(f, 2)
	for from := int64(0); from < 200; from += 20 {
		f.Add(l.fetch(from, 3000).RecordBatches, from)
	}
	f.Fuzz(func(t *testing.T, raw []byte, from int64) {
		answer := &kmsg.FetchResponseTopicPartition{RecordBatches: raw}
		theirs, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: "raw"}, answer, decompressor, nil)
		got, ours, err := readBatches(answer, "raw", from, nil)
		if err != nil || theirs.Err != nil {
			return
		}
		var want []Record
		for _, k := range theirs.Records {
			want = append(want, FromClient(k))
		}
		if ours == next && !same(got, want) || len(got) > len(want) {
			t.Errorf("%d records up to %d; the client reads %d up to %d", len(got), ours, len(want), next)
		}
	})
}

// An event's bytes are those of the page that is decoded.
func TestAppendEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.UTC)
	for name, p := range map[string]Page{
		"plain":         {Sequence: 1, CreatedAt: at, TypeURL: "type.googleapis.com/x.Y", Value: []byte("v")},
		"other prefix":  {Sequence: 300, CreatedAt: at, TypeURL: "example.com/a/x.Y", Value: []byte("v")},
		"no prefix":     {Sequence: 2, CreatedAt: at, TypeURL: "x.Y"},
		"synchronous":   {Sequence: 3, CreatedAt: at, TypeURL: "type.googleapis.com/x.Y", Synchronous: true},
		"before 1970":   {Sequence: 4, CreatedAt: time.Unix(-5, 7), TypeURL: "type.googleapis.com/x.Y"},
		"whole seconds": {Sequence: 5, CreatedAt: time.Unix(5, 0), TypeURL: "type.googleapis.com/x.Y", Value: make([]byte, 5000)},
	} {
		r := p.Encode("d", 0)
		decoded, err := DecodePage(&r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := AppendEvent([]byte{}, &r)
		var book angzarr.EventBook
		if err == nil {
			err = proto.Unmarshal(got, &book)
		}
		if want := (&angzarr.EventBook{Pages: []*angzarr.EventPage{decoded.Proto()}}); err != nil || !proto.Equal(&book, want) {
			t.Errorf("%s: %v, %v; want %v", name, &book, err, want)
		}
	}
	for name, r := range map[string]Record{
		"a snapshot": {Key: SnapshotKey(Root{})},
		"no type":    {Key: PageKey(Root{}, 1)},
		"no time":    {Key: PageKey(Root{}, 1), Headers: []Header{{Key: headerType, Value: []byte("x")}, {Key: headerTime, Value: []byte("now")}}},
	} {
		if b, err := AppendEvent(nil, &r); err == nil || len(b) > 0 {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// Compaction keeps a producer's last batch without its records, and that may be all
// that an answer has.
func TestABatchWithoutRecordsIsPassed(t *testing.T) {
	empty := kmsg.RecordBatch{
		FirstOffset: 7, Length: batchHead - batchLength - 4, Magic: 2, LastOffsetDelta: 3,
		Attributes: transactional, ProducerID: 1, FirstSequence: -1,
	}
	raw := empty.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[batchChecksum:], crc32.Checksum(raw[batchChecked:], castagnoli))
	if len(raw) != batchHead {
		t.Fatalf("the batch has %d bytes", len(raw))
	}
	for _, attributes := range []int16{transactional, transactional | compressed&4} {
		binary.BigEndian.PutUint16(raw[batchChecked:], uint16(attributes))
		binary.BigEndian.PutUint32(raw[batchChecksum:], crc32.Checksum(raw[batchChecked:], castagnoli))
		records, next, err := readBatches(&kmsg.FetchResponseTopicPartition{RecordBatches: raw}, "t", 8, nil)
		if err != nil || len(records) > 0 || next != 11 {
			t.Errorf("%d records, and it goes on at %d: %v; want none, and 11", len(records), next, err)
		}
	}
}
