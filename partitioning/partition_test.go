package partitioning

import (
	"encoding/hex"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
)

// What org.apache.kafka.common.utils.Utils of kafka-clients 4.1.2 says:
// toPositive(murmur2(key)) % partitions.
func TestOf(t *testing.T) {
	for _, row := range []struct {
		root            string
		of1, of12, of24 int32
	}{
		{"00000000000000000000000000000000", 0, 4, 16},
		{"ffffffffffffffffffffffffffffffff", 0, 10, 10},
		{"000102030405060708090a0b0c0d0e0f", 0, 9, 9},
		{"6ba7b8109dad11d180b400c04fd430c8", 0, 8, 8},
		{"0192a4f0c3d27f1e8a5b6c7d8e9fa0b1", 0, 8, 20},
		{"80000000000000000000000000000000", 0, 0, 12},
		{"00000000000000000000000000000001", 0, 10, 22},
		{"fedcba98765432100123456789abcdef", 0, 1, 1},
	} {
		raw, err := hex.DecodeString(row.root)
		if err != nil {
			t.Fatal(err)
		}
		root := log.Root(raw)
		for partitions, want := range map[int32]int32{1: row.of1, 12: row.of12, 24: row.of24} {
			if got := Of(root, partitions); got != want {
				t.Errorf("%s is in partition %d of %d, want %d", row.root, got, partitions, want)
			}
		}
	}
}

// The keys of Kafka's own test (UtilsTest.testMurmur2), with the hashes there.
func TestKeyedIsMurmur2(t *testing.T) {
	const partitions = 1 << 30
	for key, hash := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		want := int(hash&0x7fffffff) % partitions
		if got := keyed.Partition(&kgo.Record{Key: []byte(key)}, partitions); got != want {
			t.Errorf("%q is in partition %d, want %d", key, got, want)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	root := log.Root{1, 2, 3}
	b.ReportAllocs()
	for b.Loop() {
		Of(root, 24)
	}
}
