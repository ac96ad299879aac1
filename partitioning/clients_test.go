package partitioning_test

import (
	"crypto/rand"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// A client that leaves the partition to its default produces where the owner of
// the root looks.
func TestOfIsWhereClientsProduce(t *testing.T) {
	w := newWorld(t, 12)
	var records []*kgo.Record
	for range 500 {
		key := make([]byte, 16)
		_, _ = rand.Read(key)
		records = append(records, &kgo.Record{Topic: w.commands, Key: key})
	}
	for _, result := range w.Client(t).ProduceSync(t.Context(), records...) {
		ok(t, result.Err)
		root := log.Root(result.Record.Key)
		if want := partitioning.Of(root, 12); result.Record.Partition != want {
			t.Errorf("%s went to partition %d, its own is %d", root, result.Record.Partition, want)
		}
	}
}
