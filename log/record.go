package log

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record is one record of the log, read or to be written. To be written it
// names its partition; offset and leader are the broker's.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []Header
	Time      time.Time
}

// Header is a record's header: a key and a value. It is the client's own type,
// so that headers are handed over as they are.
type Header = kgo.RecordHeader

// Header gives the value of the first header with that key, nil if there is none.
func (r *Record) Header(key string) []byte {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value
		}
	}
	return nil
}

// Size is about what the record takes in a batch, in bytes, uncompressed.
func (r *Record) Size() int {
	n := len(r.Key) + len(r.Value) + 32 // varints, deltas, attributes
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value) + 6
	}
	return n
}

// FromClient takes over a record that the client has read.
func FromClient(k *kgo.Record) Record {
	return Record{
		Topic: k.Topic, Partition: k.Partition, Offset: k.Offset,
		Key: k.Key, Value: k.Value, Headers: k.Headers, Time: k.Timestamp,
	}
}

// ToClient hands a record to the client. The client partitions by hand (see
// [Cluster.NewWriter]), so the partition stands.
func (r *Record) ToClient() *kgo.Record {
	return &kgo.Record{
		Topic: r.Topic, Partition: r.Partition,
		Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Time,
	}
}
