package log

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrStop, given back by a scan's function, ends the scan without an error.
var ErrStop = errors.New("stop")

// Span is a stretch of one partition: from From up to, not including, To.
type Span struct{ From, To int64 }

// quiet is how long a reader waits for the next record before it asks the
// broker whether there is none: compaction may have taken the last ones.
const quiet = 500 * time.Millisecond

// Scan reads spans of a topic's partitions, read_committed, and calls fn with
// each data record, in offset order per partition, from one goroutine. The record
// is fn's until it returns, its bytes for good. It returns once every span has been read to its end, which takes as long as the
// transactions that are open before that end. An error of fn ends the scan and
// is returned as it is, but for [ErrStop].
func (c Cluster) Scan(ctx context.Context, topic string, spans map[int32]Span, fn func(*Record) error) error {
	left := make(map[int32]Span, len(spans))
	offsets := make(map[int32]kgo.Offset, len(spans))
	for p, s := range spans {
		if s.From < s.To {
			left[p] = s
			offsets[p] = kgo.NewOffset().At(s.From)
		}
	}
	if len(left) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(append(c.Options("angzarr-reader"),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // a start that retention has passed
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		kgo.FetchMaxWait(100*time.Millisecond),
		// What is fetched ahead waits in memory, at three times its size.
		kgo.FetchMaxPartitionBytes(512<<10),
		kgo.FetchMaxBytes(4<<20),
	)...)
	if err != nil {
		return fmt.Errorf("read %s: %w", topic, err)
	}
	defer cl.Close()

	for len(left) > 0 {
		pollCtx, cancel := context.WithTimeout(ctx, quiet)
		fetches := cl.PollFetches(pollCtx)
		cancel()
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		for _, e := range fetches.Errors() {
			if e.Err != context.DeadlineExceeded && !kerr.IsRetriable(e.Err) {
				return fmt.Errorf("read %s/%d: %w", topic, e.Partition, e.Err)
			}
		}
		if fetches.NumRecords() == 0 {
			for p, s := range left {
				if arrived, err := nothingLeft(ctx, cl, topic, p, s); err != nil {
					return fmt.Errorf("read %s/%d: %w", topic, p, err)
				} else if arrived {
					delete(left, p)
				}
			}
			continue
		}
		if err := take(fetches, left, fn); err != nil {
			if err == ErrStop {
				return nil
			}
			return err
		}
	}
	return nil
}

// take hands the records of a poll to fn and shortens what is left.
func take(fetches kgo.Fetches, left map[int32]Span, fn func(*Record) error) error {
	var failed error
	r := new(Record) // one for all: there are millions
	fetches.EachPartition(func(tp kgo.FetchTopicPartition) {
		span, ok := left[tp.Partition]
		if !ok || failed != nil {
			return
		}
		for _, k := range tp.Records {
			if k.Offset < span.From {
				continue
			}
			if k.Offset < span.To && !k.Attrs.IsControl() {
				*r = FromClient(k)
				if failed = fn(r); failed != nil {
					return
				}
			}
			span.From = k.Offset + 1
			if span.From >= span.To {
				delete(left, tp.Partition)
				return
			}
		}
		left[tp.Partition] = span
	})
	return failed
}

// nothingLeft asks the leader itself for what stands at the span's start. No
// bytes, although the last stable offset is past the span, means that nothing
// stands there any more.
func nothingLeft(ctx context.Context, cl *kgo.Client, topic string, partition int32, span Span) (bool, error) {
	meta, err := kadm.NewClient(cl).Metadata(ctx, topic)
	if err != nil {
		return false, err
	}
	detail := meta.Topics[topic]
	if detail.Partitions[partition].Leader < 0 {
		return false, nil // it will have one again
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.IsolationLevel, req.SessionEpoch = 1<<20, 1, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, detail.ID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, span.From, 1<<20
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	raw, err := cl.Broker(int(detail.Partitions[partition].Leader)).RetriableRequest(ctx, req)
	if err != nil {
		return false, err
	}
	resp := raw.(*kmsg.FetchResponse)
	if resp.ThrottleMillis > 0 {
		return false, nil // a quota empties an answer too (KIP-219)
	}
	for _, rt := range resp.Topics {
		for _, rp := range rt.Partitions {
			if rp.Partition != partition {
				continue
			}
			if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
				return false, ignoreRetriable(err)
			}
			return rp.LastStableOffset >= span.To && len(rp.RecordBatches) == 0, nil
		}
	}
	return false, nil
}

func ignoreRetriable(err error) error {
	if kerr.IsRetriable(err) {
		return nil
	}
	return err
}

// HighWatermarks gives the end of each of a topic's partitions, open
// transactions included.
func HighWatermarks(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	return offsets(kadm.NewClient(cl).ListEndOffsets(ctx, topic))
}

// Starts gives the first offset that each of a topic's partitions still holds.
func Starts(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	return offsets(kadm.NewClient(cl).ListStartOffsets(ctx, topic))
}

// StableOffsets gives the last stable offset of each of a topic's partitions:
// no transaction is open before it.
func StableOffsets(ctx context.Context, cl *kgo.Client, topic string) (map[int32]int64, error) {
	return offsets(kadm.NewClient(cl).ListCommittedOffsets(ctx, topic))
}

// offsets flattens the listing of one topic.
func offsets(listed kadm.ListedOffsets, err error) (map[int32]int64, error) {
	if err == nil {
		err = listed.Error()
	}
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		err = fmt.Errorf("%w: %w", ErrNoTopic, err)
	}
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	found := make(map[int32]int64)
	listed.Each(func(o kadm.ListedOffset) { found[o.Partition] = o.Offset })
	return found, nil
}
