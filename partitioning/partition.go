package partitioning

import (
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/twmb/franz-go/pkg/kgo"
)

// keyed is Kafka's default partitioner. It has no state for records with a key.
var keyed = kgo.StickyKeyPartitioner(nil).ForTopic("")

// Of gives the partition of a root: the one that Kafka's default partitioner
// chooses for a record whose key is the root's 16 bytes (murmur2, made
// positive, modulo the number of partitions).
func Of(root log.Root, partitions int32) int32 {
	return int32(keyed.Partition(&kgo.Record{Key: root[:]}, int(partitions)))
}
