package partitioning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// transactionTimeout is after how long a broker aborts a transaction by itself.
// A commit is given up well before.
const transactionTimeout = 10 * time.Second

// producer is a worker's transactional producer. A fatal error spoils it; the
// member then makes itself another one with a new transactional id.
type producer struct {
	client          *kgo.Client
	transactionalID string
	member          string // the membership in which it was made
	// id and epoch are those of the transaction that is open. After some errors
	// the client loads new ones by itself and goes on, although the broker has
	// aborted then what was written under the old ones.
	id    int64
	epoch int16
	// addOffsets says that the group has to be added to a transaction before
	// its offsets are: always, unless the cluster has transaction.version 2
	// (KIP-890 part 2).
	addOffsets bool
	// known are the topics that the client has on its books; see [log.Enter].
	known map[string]bool
	// entering says that the transaction may hold a topic that is not, and so
	// more than the client would end.
	entering bool
	// handed is memory for the records that the client is handed.
	handed []kgo.Record
}

func newProducer(c Config, n int) (*producer, error) {
	txID := c.Identity.transactionalID(c.Group, n)
	opts := append(c.Cluster.Options(c.Identity.clientID()),
		kgo.TransactionalID(txID),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		// A commit flushes once it has handed over all its records, so that
		// they go out in one request a broker instead of two.
		kgo.ManualFlushing(),
		kgo.MaxBufferedRecords(maxRecords),
		kgo.ProducerBatchMaxBytesFn(c.maxBatchBytes),
	)
	if c.TransactionVersion < 2 {
		// Requests of these versions and above mean transaction version 2.
		versions := kversion.Stable()
		versions.SetMaxKeyVersion(produceKey, 11)
		versions.SetMaxKeyVersion(txnOffsetCommitKey, 4)
		versions.SetMaxKeyVersion(endTxnKey, 4)
		opts = append(opts, kgo.MaxVersions(versions))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("producer %s: %w", txID, err)
	}
	return &producer{client: client, transactionalID: txID, addOffsets: c.TransactionVersion < 2, known: make(map[string]bool)}, nil
}

// begin begins a transaction, with a producer id that is good.
func (p *producer) begin(ctx context.Context) error {
	// BeginTransaction would load the id too, but without a bound.
	var err error
	if p.id, p.epoch, err = p.client.ProducerID(ctx); err != nil {
		return fmt.Errorf("producer id of %s: %w", p.transactionalID, err)
	}
	if err := p.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction of %s: %w", p.transactionalID, err)
	}
	return nil
}

// Request keys: https://kafka.apache.org/protocol#protocol_api_keys.
const (
	produceKey         = 0
	endTxnKey          = 26
	txnOffsetCommitKey = 28
)

// maxRecords bounds the records of one transaction.
const maxRecords = 100_000

// produce writes the records into the transaction that is open, and returns once
// every one is acknowledged and knows its offset, or with the first error.
func (p *producer) produce(ctx context.Context, records []log.Record) error {
	failed := make(chan error, 1) // the first
	promise := func(k *kgo.Record, err error) {
		if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
			err = fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		if err != nil {
			select {
			case failed <- fmt.Errorf("produce to %s/%d: %w", k.Topic, k.Partition, err):
			default:
			}
		}
	}
	// Promises may come after the context's end: what they write is the
	// client's, until Flush has returned nil.
	handed := slices.Grow(p.handed[:0], len(records))[:len(records)]
	p.handed = nil // until the client is done with them
	for i := range records {
		handed[i] = *records[i].ToClient() // inlined: no allocation
		p.entering = p.entering || !p.known[records[i].Topic]
		p.client.Produce(ctx, &handed[i], promise)
	}
	// Flush returns nil after the last promise has been called.
	err := p.client.Flush(ctx)
	select {
	case err = <-failed:
	default:
	}
	if err != nil {
		return err
	}
	for i := range records {
		records[i].Offset = handed[i].Offset
		if p.known[records[i].Topic] {
			continue
		}
		if err := log.Enter(ctx, p.client, records[i].Topic, records[i].Partition); err != nil {
			return err
		}
		p.known[records[i].Topic] = true
	}
	p.entering = false
	clear(handed) // their values need not stay
	p.handed = handed
	return nil
}
