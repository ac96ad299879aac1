package log

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// After these errors a record is not in the log, and never will be.
var (
	ErrTooLarge = errors.New("the record is larger than its topic allows (max.message.bytes)")
	ErrNoTopic  = errors.New("there is no such topic")
)

// Writer writes records outside of transactions: commands on their way to an
// owner, and replies. A record that was acknowledged is in the log once.
type Writer struct{ client *kgo.Client }

// NewWriter makes a writer; Close must follow.
func (c Cluster) NewWriter(clientID string) (*Writer, error) {
	client, err := kgo.NewClient(append(c.Options(clientID),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(1<<20),
	)...)
	if err != nil {
		return nil, fmt.Errorf("writer: %w", err)
	}
	return &Writer{client}, nil
}

// Write returns once the record is in the log, with its offset. After an error it may be there
// all the same, but for ErrTooLarge and ErrNoTopic.
func (w *Writer) Write(ctx context.Context, r *Record) error {
	k := r.ToClient()
	err := w.client.ProduceSync(ctx, k).FirstErr()
	switch {
	case err == nil:
		r.Offset = k.Offset
		return nil
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		err = fmt.Errorf("%w: %w", ErrNoTopic, err)
	}
	return fmt.Errorf("write to %s/%d: %w", r.Topic, r.Partition, err)
}

// Send writes the record without waiting; failed is told if it can't be written.
func (w *Writer) Send(r *Record, failed func(error)) {
	w.client.TryProduce(context.Background(), r.ToClient(), func(_ *kgo.Record, err error) {
		if err != nil {
			failed(fmt.Errorf("write to %s/%d: %w", r.Topic, r.Partition, err))
		}
	})
}

// Close gives up what was sent and not yet acknowledged.
func (w *Writer) Close() { w.client.Close() }
