package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The client has a reader of what a fetch answers, which makes five objects and more
// of each record. Here one in thousands is wanted, or all of them for a moment: this
// makes none of those that are not wanted, and few of the others.

// A batch of records, as KIP-98 has it: what stands before the records, and where
// in it the length, the format and the checksum of what is behind them are.
const (
	batchLength   = 8
	batchFormat   = 16
	batchChecksum = 17
	batchChecked  = 21
	batchHead     = 61

	compressed    = 0b000111
	appendTime    = 0b001000
	transactional = 0b010000
	markers       = 0b100000
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batches reads the committed records of an answer.
type batches struct {
	from    int64 // records before that are passed over, as it moves on
	wanted  func(key []byte) bool
	aborted map[int64][]int64 // by producer: where its aborted transactions begin
	records []Record
	headers []Header // of all of them
}

// readBatches gives the committed records from an offset on of which the keys are
// wanted (all if wanted is nil), and the offset behind the last one that was there.
// Their bytes are the answer's.
func readBatches(rp *kmsg.FetchResponseTopicPartition, topic string, from int64, wanted func(key []byte) bool) ([]Record, int64, error) {
	b := &batches{from: from, wanted: wanted}
	for _, a := range rp.AbortedTransactions {
		if b.aborted == nil {
			b.aborted = make(map[int64][]int64)
		}
		b.aborted[a.ProducerID] = append(b.aborted[a.ProducerID], a.FirstOffset)
	}
	for _, begins := range b.aborted {
		slices.Sort(begins) // Redpanda's are in another order
	}
	for in := rp.RecordBatches; len(in) >= batchHead; { // compaction leaves heads without records
		size := int64(int32(binary.BigEndian.Uint32(in[batchLength:]))) + batchLength + 4
		if size < batchHead || size > int64(len(in)) {
			break // brokers cut answers anywhere
		}
		err := b.batch(in[:size], topic, rp.Partition)
		if errors.Is(err, errCut) && b.from > from {
			break
		}
		if err != nil {
			return nil, from, err
		}
		in = in[size:]
	}
	return b.records, b.from, nil
}

// errCut says that a batch can't be decompressed: the answer may end in it.
var errCut = errors.New("it can't be decompressed")

func (b *batches) batch(raw []byte, topic string, partition int32) error {
	first := int64(binary.BigEndian.Uint64(raw))
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("batch at offset %d: %w", first, fmt.Errorf(format, args...))
	}
	if raw[batchFormat] != 2 {
		return wrong("format %d is none that transactions write", raw[batchFormat])
	}
	if crc32.Checksum(raw[batchChecked:], castagnoli) != binary.BigEndian.Uint32(raw[batchChecksum:]) {
		return wrong("its checksum is wrong")
	}
	var head kmsg.RecordBatch
	if err := head.ReadFrom(raw); err != nil {
		return wrong("%w", err)
	}
	last := first + int64(head.LastOffsetDelta)
	if last < b.from {
		return nil
	}
	rows := head.Records
	if codec := head.Attributes & compressed; codec != 0 && head.NumRecords > 0 {
		var err error
		if rows, err = decompressor.Decompress(rows, kgo.CompressionCodecType(codec)); err != nil {
			return wrong("%w: %w", errCut, err)
		}
	}
	begins := b.aborted[head.ProducerID]
	aborted := head.Attributes&transactional != 0 && len(begins) > 0 && first >= begins[0]
	for i := range head.NumRecords {
		row, size := rowOf(rows)
		if size == 0 {
			return wrong("of %d records there are %d", head.NumRecords, i)
		}
		rows = rows[size:]
		if ok := b.row(row, &head, aborted, topic, partition); !ok {
			return wrong("record %d can't be read", i)
		}
	}
	b.from = max(b.from, last+1) // compaction keeps a batch's last offset, though not the record
	return nil
}

// rowOf gives the first record, and how many bytes it takes; none if it is cut.
func rowOf(rows []byte) ([]byte, int) {
	length, used := kbin.Varint(rows)
	if used <= 0 || length < 0 || int(length) > len(rows)-used {
		return nil, 0
	}
	return rows[used : used+int(length)], used + int(length)
}

// row reads a record; false says that it can't.
func (b *batches) row(row []byte, head *kmsg.RecordBatch, aborted bool, topic string, partition int32) bool {
	r := kbin.Reader{Src: row}
	r.Int8() // attributes, of which there are none
	late := r.Varlong()
	offset := head.FirstOffset + int64(r.Varint())
	key := r.VarintBytes()
	switch {
	case !r.Ok():
		return false
	case head.Attributes&markers != 0:
		// The key is a version and what the marker says; 0 ends an aborted transaction.
		if begins := b.aborted[head.ProducerID]; aborted && len(key) >= 4 && key[2] == 0 && key[3] == 0 && len(begins) > 0 {
			b.aborted[head.ProducerID] = begins[1:]
		}
		return true
	case aborted, offset < b.from, b.wanted != nil && !b.wanted(key):
		return true
	}
	record := Record{Topic: topic, Partition: partition, Offset: offset, Key: key, Value: r.VarintBytes(), Time: time.UnixMilli(head.FirstTimestamp + late)}
	if head.Attributes&appendTime != 0 {
		record.Time = time.UnixMilli(head.MaxTimestamp)
	}
	first := len(b.headers)
	for range r.VarintArrayLen() {
		key := r.VarintBytes()
		b.headers = append(b.headers, Header{Key: headerKey(key), Value: r.VarintBytes()})
		if !r.Ok() {
			return false
		}
	}
	record.Headers = b.headers[first:len(b.headers):len(b.headers)]
	b.records = append(b.records, record)
	return r.Ok()
}

// headerKey gives a key as a text, without making one of those that each page has.
func headerKey(key []byte) string {
	switch string(key) {
	case headerContentType:
		return headerContentType
	case headerSpecVersion:
		return headerSpecVersion
	case headerID:
		return headerID
	case headerType:
		return headerType
	case headerCESource:
		return headerCESource
	case headerSubject:
		return headerSubject
	case headerTime:
		return headerTime
	case HeaderCommandID:
		return HeaderCommandID
	case HeaderCorrelationID:
		return HeaderCorrelationID
	case HeaderSource:
		return HeaderSource
	}
	return string(key)
}
