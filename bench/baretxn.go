package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
)

// transactions commits records together with a group's offsets, fenced by the
// member's generation.
type transactions struct {
	group    string
	id       string
	topic    string
	topicID  kadm.TopicID
	version  int16
	consumer *kgo.Client
	producer *kgo.Client
}

// commit writes records and offsets, or neither. It returns nil only once the
// transaction is committed; after any error the caller must end.
func (t *transactions) commit(ctx context.Context, records []*kgo.Record, offsets map[int32]int64) error {
	if err := t.producer.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err := t.producer.ProduceSync(ctx, records...).FirstErr()
	if err == nil {
		err = log.Enter(ctx, t.producer, records[0].Topic, records[0].Partition)
	}
	if err == nil {
		err = t.commitOffsets(ctx, offsets)
	}
	if err != nil {
		return errors.Join(err, t.producer.EndTransaction(ctx, kgo.TryAbort))
	}
	if err := t.producer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	return nil
}

// commitOffsets is the fence: the broker refuses a generation that is over.
func (t *transactions) commitOffsets(ctx context.Context, offsets map[int32]int64) error {
	id, epoch, err := t.producer.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	if t.version < 2 {
		if err := t.addOffsets(ctx, id, epoch); err != nil {
			return fmt.Errorf("add offsets: %w", err)
		}
	}
	member, generation := t.consumer.GroupMetadata()
	request := kmsg.NewPtrTxnOffsetCommitRequest()
	request.TransactionalID, request.Group = t.id, t.group
	request.ProducerID, request.ProducerEpoch = id, epoch
	request.MemberID, request.Generation = member, generation
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = t.topic, t.topicID
	for number, offset := range offsets {
		partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		partition.Partition, partition.Offset = number, offset
		topic.Partitions = append(topic.Partitions, partition)
	}
	request.Topics = append(request.Topics, topic)
	err = whileConcurrent(ctx, func() error {
		response, err := request.RequestWith(ctx, t.producer)
		if err != nil {
			return err
		}
		for _, topic := range response.Topics {
			for _, partition := range topic.Partitions {
				if err := kerr.ErrorForCode(partition.ErrorCode); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	return nil
}

func (t *transactions) addOffsets(ctx context.Context, id int64, epoch int16) error {
	request := kmsg.NewPtrAddOffsetsToTxnRequest()
	request.TransactionalID, request.Group = t.id, t.group
	request.ProducerID, request.ProducerEpoch = id, epoch
	return whileConcurrent(ctx, func() error {
		response, err := request.RequestWith(ctx, t.producer)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(response.ErrorCode)
	})
}

// whileConcurrent repeats a request for as long as the markers of the last
// transaction are still being written.
func whileConcurrent(ctx context.Context, request func() error) error {
	for {
		err := request()
		if !errors.Is(err, kerr.ConcurrentTransactions) {
			return err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
