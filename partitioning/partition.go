package partitioning

import (
	"sync"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/twmb/franz-go/pkg/kgo"
)

// keyed is Kafka's default partitioner. It has no state for records with a key.
var keyed = kgo.StickyKeyPartitioner(nil).ForTopic("")

// Of gives the partition of a root: the one that Kafka's default partitioner
// chooses for a record whose key is the root's 16 bytes (murmur2, made
// positive, modulo the number of partitions).
func Of(root log.Root, partitions int32) int32 {
	r := keys.Get().(*kgo.Record)
	defer keys.Put(r)
	copy(r.Key, root[:])
	return int32(keyed.Partition(r, int(partitions)))
}

// keys are records with room for a root as their key.
var keys = sync.Pool{New: func() any { return &kgo.Record{Key: make([]byte, len(log.Root{}))} }}
