package logtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
)

const readTimeout = 30 * time.Second

// ReadCommitted is all that committed transactions have left in a topic, up to
// the high watermarks at the time of the call, by partition and then by
// offset. It waits for transactions that are open below them; after 30 s the
// test fails and names the partitions that are held back.
func ReadCommitted(t testing.TB, cluster log.Cluster, topic string) []*kgo.Record {
	t.Helper()
	return records(read(t, cluster, topic, kgo.ReadCommitted()))
}

// ReadUncommitted is the same with records of aborted and open transactions.
func ReadUncommitted(t testing.TB, cluster log.Cluster, topic string) []*kgo.Record {
	t.Helper()
	return records(read(t, cluster, topic, kgo.ReadUncommitted()))
}

// Tell has a test show, if it fails, every record of the topics, committed or
// not, and the markers between them.
func Tell(t testing.TB, cluster log.Cluster, topics ...string) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, topic := range topics {
			committed := make(map[string]bool)
			for _, r := range ReadCommitted(t, cluster, topic) {
				committed[place(r)] = true
			}
			for _, r := range read(t, cluster, topic, kgo.ReadUncommitted()) {
				t.Logf("%s: key %x, value %q, marker %t, committed %t, producer %d epoch %d, at %s", place(r), r.Key, r.Value,
					r.Attrs.IsControl(), committed[place(r)], r.ProducerID, r.ProducerEpoch, r.Timestamp.Format("15:04:05.000"))
			}
		}
	})
}

func place(r *kgo.Record) string { return fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset) }

// read gives records and the markers of transactions.
func read(t testing.TB, cluster log.Cluster, topic string, level kgo.IsolationLevel) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()

	starts, ends := bounds(ctx, t, cluster, topic)
	if len(ends) == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(cluster.Options("angzarr/test-read"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts}),
		kgo.FetchIsolationLevel(level),
		kgo.FetchMaxWait(100*time.Millisecond),
		// Without them a partition whose last record is a marker, or was
		// aborted, never seems to end.
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	var all []*kgo.Record
	for len(ends) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("read %s: not at the high watermark after %v, partitions and ends missed: %v", topic, readTimeout, ends)
		}
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s: %v", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, open := ends[r.Partition]
			if !open || r.Offset >= end {
				delete(ends, r.Partition)
				return
			}
			all = append(all, r)
			if r.Offset == end-1 {
				delete(ends, r.Partition)
			}
		})
	}
	slices.SortFunc(all, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return all
}

// records leaves the markers of transactions out.
func records(all []*kgo.Record) []*kgo.Record {
	return slices.DeleteFunc(all, func(r *kgo.Record) bool { return r.Attrs.IsControl() })
}

// bounds are where to start, and the high watermarks of the partitions that
// hold anything.
func bounds(ctx context.Context, t testing.TB, cluster log.Cluster, topic string) (map[int32]kgo.Offset, map[int32]int64) {
	t.Helper()
	client, err := kgo.NewClient(cluster.Options("angzarr/test-read")...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	first, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		t.Fatalf("read %s: list start offsets: %v", topic, err)
	}
	last, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		t.Fatalf("read %s: list end offsets: %v", topic, err)
	}
	starts, ends := make(map[int32]kgo.Offset), make(map[int32]int64)
	last.Each(func(end kadm.ListedOffset) {
		start, _ := first.Lookup(topic, end.Partition)
		if end.Offset > start.Offset {
			starts[end.Partition] = kgo.NewOffset().At(start.Offset)
			ends[end.Partition] = end.Offset
		}
	})
	return starts, ends
}
