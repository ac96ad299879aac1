package partitioning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/internal/seam"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitTimeout bounds a commit up to its end, well under the transaction's own
// timeout. Finding out what became of an end without an answer is not bounded.
const commitTimeout = 5 * time.Second

// abortTimeout is how long a producer may take to abort before it is given up.
// It takes long if what it has sent is not answered.
const abortTimeout = time.Second

// Transaction is what is committed together: records, and how far the
// partitions that they came from have been worked off.
type Transaction struct {
	// Records are at least one: the client ends no transaction without. If the
	// end is not answered, the first is looked for in the log: compaction must
	// not take it soon, as it may a snapshot.
	Records []log.Record
	// Offsets are of the claims of every partition that anything in the
	// transaction came from, polled or not: they are what fences it.
	Offsets []Offset
}

// Commit commits the transaction, or says why not; see the package's errors.
// After a nil error every record has the offset at which it stands. One Commit
// runs at a time; others wait.
//
// With ErrNotCommitted nothing has happened and the claims that have not ended
// are as good as before. ErrDeposed besides says that the group has moved on.
func (m *Member) Commit(ctx context.Context, tx Transaction) error {
	if len(tx.Records) == 0 || len(tx.Offsets) == 0 {
		panic("partitioning: a transaction needs records and claims")
	}
	m.committing.Lock()
	defer m.committing.Unlock()
	seam.BeforeCommit()
	bounded, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()

	f, err := m.fence(claimsOf(tx.Offsets))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	if err := m.begin(bounded, f.member); err != nil {
		return fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	err = m.producer.produce(bounded, tx.Records)
	if err == nil {
		err = m.commitOffsets(bounded, tx.Offsets)
	}
	if err != nil {
		m.abort(ctx)
		return fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	err = m.producer.client.EndTransaction(bounded, kgo.TryCommit)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.OperationNotAttempted), errors.Is(err, kerr.UnknownTopicID):
		// The client refused by itself: its producer is spoilt, or a topic
		// was made anew meanwhile. Nothing was sent.
		m.abort(ctx)
		return fmt.Errorf("%w: %w", ErrNotCommitted, err)
	}
	m.log.Warn("the end of a transaction has no good answer; asking the log", "error", err)
	return m.resolve(ctx, &tx.Records[0], err)
}

// begin makes sure of a producer that works, and begins. Each membership has
// producers of its own: somebody who saw the worker between two of them may be
// about to end what it had open, and must not meet a new transaction.
func (m *Member) begin(ctx context.Context, member string) error {
	m.endAbandoned(ctx)
	if m.producer != nil && m.producer.member != member {
		m.producer.client.Close() // nothing is open
		m.producer = nil
	}
	if m.producer != nil {
		err := m.producer.begin(ctx)
		if err == nil {
			return nil
		}
		m.log.Warn("a producer is replaced", "id", m.producer.transactionalID, "error", err)
		m.discardProducer(ctx)
	}
	m.producers++
	p, err := newProducer(m.config, m.producers)
	if err != nil {
		return err
	}
	p.member = member
	m.producer = p
	return p.begin(ctx)
}

// abort ends the transaction that is open without committing it. If that fails
// the producer is given up: what it left open is ended under its id, by us or
// by whoever takes over.
func (m *Member) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	err := m.producer.client.AbortBufferedRecords(ctx)
	if err == nil && m.producer.entering {
		err = errors.New("the client may not know of all that it has written")
	}
	if err == nil {
		err = m.producer.client.EndTransaction(ctx, kgo.TryAbort)
	}
	if err == nil {
		// The end may have been left to the next load of the producer's id, and
		// until then the transaction holds up everyone who reads.
		_, _, err = m.producer.client.ProducerID(ctx)
	}
	if err != nil {
		m.log.Warn("a transaction could not be aborted; its producer is replaced", "error", err)
		m.discardProducer(ctx)
	}
}

// discardProducer closes the producer and ends what it left open; if that can't
// be done now, it is tried again with the next transaction.
func (m *Member) discardProducer(ctx context.Context) {
	gone := m.producer
	m.producer = nil
	gone.client.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err := endTransaction(ctx, m.consumer, gone.transactionalID); err != nil {
		m.log.Warn("a transaction may be open until it times out", "id", gone.transactionalID, "error", err)
		m.abandoned = append(m.abandoned, gone.transactionalID)
	}
}

// endAbandoned asks once for each transactional id: its transaction is over, or
// is being ended, or it is asked for again the next time.
func (m *Member) endAbandoned(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, abortTimeout)
	defer cancel()
	m.abandoned = slices.DeleteFunc(m.abandoned, func(id string) bool {
		err := fenceProducer(ctx, m.consumer, id)
		return err == nil || errors.Is(err, kerr.ConcurrentTransactions)
	})
}

// fence is what a transaction is checked against.
type fence struct {
	member     string
	generation int32
}

// fence reads who the group thinks we are, and only then whether the claims are
// held: in the other order a loss and a rejoin in between would slip through
// under the new generation. So would a claim of an earlier membership, of whose
// loss the client has not told yet. A generation of -1, or an empty member id,
// would not be checked by the broker at all.
func (m *Member) fence(claims []*Claim) (fence, error) {
	member, generation := m.consumer.GroupMetadata()
	if seam.NoFence {
		return fence{"", -1}, nil
	}
	if member == "" || generation < 0 {
		return fence{}, fmt.Errorf("no member of %s: %w", m.config.Group, ErrDeposed)
	}
	for _, claim := range claims {
		if claim.Ended() || claim.member != member {
			return fence{}, fmt.Errorf("partition %d is no longer claimed: %w", claim.Partition, ErrDeposed)
		}
	}
	return fence{member, generation}, nil
}

// commitOffsets adds the claims' offsets to the transaction that is open, under
// the fence. It is the last request before the end.
func (m *Member) commitOffsets(ctx context.Context, offsets []Offset) error {
	p := m.producer
	id, epoch, err := p.client.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	if id != p.id || epoch != p.epoch {
		return errors.New("the producer has begun anew within the transaction: what it wrote before is gone")
	}
	if p.addOffsets {
		if err := m.addOffsets(ctx); err != nil {
			return err
		}
	}
	req := m.offsetsRequest(offsets)
	for {
		// The generation must be as fresh as the request: a rebalance that has
		// left us the claims is no reason to abort.
		f, err := m.fence(claimsOf(offsets))
		if err != nil {
			return err
		}
		req.MemberID, req.Generation = f.member, f.generation
		resp, err := req.RequestWith(ctx, p.client)
		if err == nil {
			err = offsetsRefused(resp, len(offsets))
		}
		if errors.Is(err, kerr.ConcurrentTransactions) && sleep(ctx, poll) == nil {
			continue // the last transaction's markers are still being written
		}
		if fenced(err) {
			err = fmt.Errorf("%w: %w", ErrDeposed, err)
		}
		if err != nil {
			return fmt.Errorf("commit offsets of %s: %w", m.config.Group, err)
		}
		return nil
	}
}

func (m *Member) offsetsRequest(offsets []Offset) *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID = m.producer.transactionalID
	req.Group = m.config.Group
	req.ProducerID, req.ProducerEpoch = m.producer.id, m.producer.epoch
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = m.config.Topic, m.config.TopicID
	for i := range offsets {
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition = offsets[i].Claim.Partition
		p.Offset, p.Metadata = offsets[i].Low, &offsets[i].Metadata
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	return req
}

func (m *Member) addOffsets(ctx context.Context) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.Group = m.producer.transactionalID, m.config.Group
	req.ProducerID, req.ProducerEpoch = m.producer.id, m.producer.epoch
	for {
		resp, err := req.RequestWith(ctx, m.producer.client)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if errors.Is(err, kerr.ConcurrentTransactions) && sleep(ctx, poll) == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("add offsets of %s: %w", m.config.Group, err)
		}
		return nil
	}
}

func claimsOf(offsets []Offset) []*Claim {
	claims := make([]*Claim, len(offsets))
	for i := range offsets {
		claims[i] = offsets[i].Claim
	}
	return claims
}

// offsetsRefused gives the first error of any partition. An answer that leaves
// a partition out says nothing about it, and is an error too.
func offsetsRefused(resp *kmsg.TxnOffsetCommitResponse, want int) error {
	n := 0
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: %w", p.Partition, err)
			}
			n++
		}
	}
	if n != want {
		return fmt.Errorf("%d of %d partitions were answered", n, want)
	}
	return nil
}

// fenced says that the group refused who we say we are. A group of which nothing
// is left refuses by its own name from TxnOffsetCommit version 6 on.
func fenced(err error) bool {
	return errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.UnknownMemberID) ||
		errors.Is(err, kerr.GroupIDNotFound)
}
