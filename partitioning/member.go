package partitioning

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// heartbeatInterval is how soon a member hears of a rebalance.
	heartbeatInterval = 300 * time.Millisecond
	// sessionTimeout is how long a member may be silent; brokers allow no less
	// by default (group.min.session.timeout.ms).
	sessionTimeout = 6 * time.Second
	// rebalanceTimeout bounds how long a member may take to let go.
	rebalanceTimeout = 30 * time.Second
)

// Config is what a member needs to join its group.
type Config struct {
	Cluster  log.Cluster
	Identity Identity
	Group    string
	// Topic is the one whose partitions the group shares out.
	Topic   string
	TopicID [16]byte
	// TransactionVersion is the cluster's finalized transaction.version.
	TransactionVersion int16
	// MaxBatchBytes gives a topic's max.message.bytes, 0 where it isn't known.
	MaxBatchBytes func(topic string) int32
	// MissingOffsets says what to do with a partition that holds records but
	// no committed offset; see [MissingOffsets].
	MissingOffsets MissingOffsets
	// FetchPartition is how many bytes of a partition are fetched at a time, 0 for
	// what is good where memory is short.
	FetchPartition int32
	Logger         *slog.Logger
}

func (c Config) maxBatchBytes(topic string) int32 {
	const usual = 1_000_012 // the client's own default, below the brokers'
	if c.MaxBatchBytes != nil {
		if n := c.MaxBatchBytes(topic); n > 0 {
			return n
		}
	}
	return usual
}

// Owner is told what its member owns. The methods are called one at a time, by
// the group's own goroutines; while one runs the member can't rebalance. Revoked
// and Lost must not wait for a Poll, which does not return before they do.
type Owner interface {
	// Assigned gives new claims. Their partitions are not read before Resume.
	Assigned([]*Claim)
	// Revoked takes claims away that are still good: what is decided under them
	// may be committed until it returns, which must be well within the
	// rebalance timeout of 30 s.
	Revoked([]*Claim)
	// Lost takes claims away that have ended already.
	Lost([]*Claim)
}

// Member is one member of a consumer group, with a transactional producer of its
// own. Join it, then Poll and Commit from one goroutine each, then Leave.
type Member struct {
	config   Config
	owner    Owner
	log      *slog.Logger
	consumer *kgo.Client
	claims   claims

	committing sync.Mutex // held by Commit
	producer   *producer  // owned by Commit
	producers  int        // owned by Commit
	abandoned  []string   // transactional ids that may be open; owned by Commit
	complained time.Time  // when a partition was last said to be unreadable; owned by Poll

	hangUp context.CancelFunc // ends the consumer's requests
	joined chan struct{}      // closed once consumer is set: callbacks come earlier
	failed chan error         // what the member can't go on after
}

// NewMember makes a member, which is in no group before Join.
func NewMember(c Config, owner Owner) *Member {
	return &Member{
		config: c, owner: owner, log: c.Logger.With("group", c.Group),
		joined: make(chan struct{}), failed: make(chan error, 1),
	}
}

// Join joins the group; the owner hears of it. Leave must follow.
func (m *Member) Join() error {
	ctx, hangUp := context.WithCancel(context.Background())
	m.hangUp = hangUp
	opts := append(m.config.Cluster.Options(m.config.Identity.clientID()),
		kgo.WithContext(ctx),
		kgo.ConsumerGroup(m.config.Group),
		kgo.ConsumeTopics(m.config.Topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.SessionTimeout(sessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.DisableAutoCommit(),
		// What a poll gives, and under which claim, must be one look: no claim
		// ends in between. (A poll that waits for records blocks nothing.)
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A fetch that waits leaves out what is resumed meanwhile, so this is
		// how long reading may take to begin.
		kgo.FetchMaxWait(100*time.Millisecond),
		// What is fetched ahead waits in memory: a few transactions' worth.
		kgo.FetchMaxPartitionBytes(cmp.Or(m.config.FetchPartition, 256<<10)),
		kgo.FetchMaxBytes(2<<20),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost),
		kgo.OnOffsetsFetched(m.fetched),
		kgo.AdjustFetchOffsetsFn(m.adjust),
	)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		hangUp()
		return fmt.Errorf("join %s: %w", m.config.Group, err)
	}
	m.consumer = cl
	close(m.joined)
	return nil
}

// Failed gives the error after which the member cannot go on.
func (m *Member) Failed() <-chan error { return m.failed }

// Leave leaves the group, revoking what is claimed, and closes the connections.
// The context bounds how long it tries to tell the group; it returns once the
// owner has let go, and no Commit is under way any more.
func (m *Member) Leave(ctx context.Context) {
	defer m.hangUp()
	if err := m.consumer.LeaveGroupContext(ctx); err != nil {
		m.walkOut(err)
	}
	m.consumer.CloseAllowingRebalance()
	m.committing.Lock() // a commit that the owner gave up fails soon
	defer m.committing.Unlock()
	if m.producer != nil {
		m.producer.client.Close()
	}
}

// walkOut leaves a group that does not let the client go: a join that is under way
// lasts until all others have joined, up to the rebalance timeout.
func (m *Member) walkOut(why error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	member, _ := m.consumer.GroupMetadata()
	err := leave(ctx, m.consumer, m.config.Group, member, "it stops")
	m.log.Warn("left the group while it was joined", "error", errors.Join(why, err))
	m.hangUp()
}

// Poll waits for records, at most maxRecords, and gives them with the claims
// under which they were read.
func (m *Member) Poll(ctx context.Context, maxRecords int) ([]Fetched, error) {
	fetches := m.consumer.PollRecords(ctx, maxRecords)
	// From here to AllowRebalance no claim ends.
	defer m.consumer.AllowRebalance()
	if fetches.IsClientClosed() {
		return nil, kgo.ErrClientClosed
	}
	// Records that came although the context has ended are not fetched again.
	if err := ctx.Err(); err != nil && fetches.NumRecords() == 0 {
		return nil, err
	}
	m.unreadable(ctx, fetches.Errors())
	var polled []Fetched
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		claim := m.claims.get(p.Partition)
		if claim == nil || len(p.Records) == 0 {
			return
		}
		f := Fetched{Claim: claim, Records: make([]log.Record, len(p.Records))}
		for i, r := range p.Records {
			f.Records[i] = log.FromClient(r)
		}
		polled = append(polled, f)
	})
	return polled, nil
}

// unreadable says which partitions can't be read, and why. The client gives such
// errors as fast as it is polled.
func (m *Member) unreadable(ctx context.Context, errs []kgo.FetchError) {
	for _, e := range errs {
		switch {
		case kerr.IsRetriable(e.Err) || e.Topic == "":
			continue
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			// Deleted while it waited. Where to go on is found out as at the start.
			m.pause([]int32{e.Partition})
			m.startOver(ctx)
		case time.Since(m.complained) < time.Second:
			_ = sleep(ctx, 10*time.Millisecond)
			continue
		}
		m.complained = time.Now()
		m.log.Error("a partition can't be read", "topic", e.Topic, "partition", e.Partition, "error", e.Err)
	}
}

// Pause stops reading partitions; Resume reads on where it stopped. No record is
// left out or comes twice. A poll that is under way may still return some.
func (m *Member) Pause(partitions ...int32) { m.pause(partitions) }

func (m *Member) pause(partitions []int32) {
	m.consumer.PauseFetchPartitions(map[string][]int32{m.config.Topic: partitions})
}

// Resume reads on after Pause, or starts to after Assigned. It leaves alone what
// is not claimed: the next claim begins paused.
func (m *Member) Resume(partitions ...int32) {
	var mine []int32
	for _, claim := range m.claims.of(partitions) {
		mine = append(mine, claim.Partition)
	}
	m.consumer.ResumeFetchPartitions(map[string][]int32{m.config.Topic: mine})
}

// Prove returns nil if, at some moment after its call, the group knew the worker
// as the member that it was when the claims were all held: nobody else can have
// written to their partitions before that moment. It is what a refusal needs
// instead of a transaction (Raft's read index, §6.4 of Ongaro's thesis).
func (m *Member) Prove(ctx context.Context, claims []*Claim) error {
	f, err := m.fence(claims)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err = m.heartbeat(ctx, f)
	switch {
	case err == nil, errors.Is(err, kerr.RebalanceInProgress):
		// The broker checks member and generation before it says so.
		return nil
	case fenced(err):
		return fmt.Errorf("heartbeat of %s: %w: %w", m.config.Group, ErrDeposed, err)
	}
	return fmt.Errorf("heartbeat of %s: %w", m.config.Group, err)
}

func (m *Member) heartbeat(ctx context.Context, f fence) error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = m.config.Group, f.member, f.generation
	resp, err := req.RequestWith(ctx, m.consumer)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// HighWatermarks gives the ends of a topic's partitions now. Captured after an
// assignment, they are what a takeover has to read up to.
func (m *Member) HighWatermarks(ctx context.Context, topic string) (map[int32]int64, error) {
	return log.HighWatermarks(ctx, m.consumer, topic)
}
