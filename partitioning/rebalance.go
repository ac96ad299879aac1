package partitioning

import (
	"context"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// MissingOffsets says how to go on where a partition holds records although the
// group has no offset for it: it was idle for longer than brokers keep offsets
// (offsets.retention.minutes, 7 days by default), or somebody deleted them.
type MissingOffsets string

// The choices. Replaying is safe for commands whose ids are still remembered.
const (
	RefuseMissing MissingOffsets = "refuse" // stop with an error that says so
	ReplayMissing MissingOffsets = "replay" // from the first record that is kept
	SkipMissing   MissingOffsets = "skip"   // from the end, leaving them undone
)

// orphanTimeout bounds how long an assignment waits for the transactions of dead
// workers to end. What is open after that holds up reading, not the group.
const orphanTimeout = 5 * time.Second

// assigned runs inside the group's session, before its offsets are fetched: a
// transaction that is still open then would cost the fetch a second's sleep.
func (m *Member) assigned(ctx context.Context, cl *kgo.Client, added map[string][]int32) {
	<-m.joined
	member, _ := cl.GroupMetadata()
	if old := m.claims.outlived(member); len(old) > 0 {
		m.log.Warn("claims of an earlier membership end; joining anew", "partitions", len(old))
		m.lose(old)
		m.startOver(ctx)
	}
	partitions := added[m.config.Topic]
	if len(partitions) == 0 {
		return
	}
	m.pause(partitions)
	ctx, cancel := context.WithTimeout(ctx, orphanTimeout)
	defer cancel()
	begun := time.Now()
	ended, err := endOrphans(ctx, cl, m.config.Group)
	if err != nil {
		m.log.Warn("transactions of dead workers may be open until they time out", "error", err)
	}
	if ended > 0 {
		m.log.Info("ended the transactions of dead workers", "transactions", ended, "took", time.Since(begun))
	}
}

// fetched begins the claims, with what the last owners committed.
func (m *Member) fetched(ctx context.Context, cl *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
	bounds, err := m.bounds(ctx, cl)
	if err != nil {
		return err
	}
	member, _ := cl.GroupMetadata()
	var begun []*Claim
	for _, p := range committedOf(resp) {
		claim, err := m.claim(p, bounds[p.partition])
		if err != nil {
			m.fail(err)
			return err
		}
		claim.member = member
		begun = append(begun, claim)
	}
	if old := m.claims.begin(begun); len(old) > 0 {
		m.owner.Lost(old) // their topic was made anew
	}
	if len(begun) > 0 {
		m.owner.Assigned(begun)
	}
	return nil
}

// committed is what a group has committed for a partition.
type committed struct {
	partition int32
	offset    int64 // -1 if there is none
	metadata  string
	err       error // why the group did not say; the client reads no such partition
}

// committedOf reads an answer; a member has but one topic. The client puts those
// of old versions into groups too.
func committedOf(resp *kmsg.OffsetFetchResponse) (all []committed) {
	for _, g := range resp.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				c := committed{partition: p.Partition, offset: p.Offset, err: kerr.ErrorForCode(p.ErrorCode)}
				if p.Metadata != nil {
					c.metadata = *p.Metadata
				}
				all = append(all, c)
			}
		}
	}
	return all
}

// bounds are the offsets of what each partition holds.
func (m *Member) bounds(ctx context.Context, cl *kgo.Client) (map[int32]log.Span, error) {
	starts, err := log.Starts(ctx, cl, m.config.Topic)
	if err != nil {
		return nil, err
	}
	ends, err := log.HighWatermarks(ctx, cl, m.config.Topic)
	if err != nil {
		return nil, err
	}
	bounds := make(map[int32]log.Span, len(ends))
	for p, end := range ends {
		bounds[p] = log.Span{From: starts[p], To: end}
	}
	return bounds, nil
}

// claim begins a claim where the last owner stopped.
func (m *Member) claim(c committed, holds log.Span) (*Claim, error) {
	if c.err != nil {
		return nil, fmt.Errorf("fetch the offset of %s/%d for group %s: %w", m.config.Topic, c.partition, m.config.Group, c.err)
	}
	start := c.offset
	switch known := c.offset >= 0 && c.offset <= holds.To; {
	case known && start < holds.From:
		m.log.Error("commands were deleted by the topic's retention before they were handled",
			"topic", m.config.Topic, "partition", c.partition, "from", start, "to", holds.From-1)
		start = holds.From
	case known:
	case holds.From == holds.To, m.config.MissingOffsets == ReplayMissing:
		start = holds.From
	case m.config.MissingOffsets == SkipMissing:
		start = holds.To
	default:
		return nil, m.missing(c, holds)
	}
	if start != c.offset {
		return &Claim{Partition: c.partition, Progress: &Progress{next: start}, start: start}, nil
	}
	progress, err := restore(start, c.metadata)
	if err != nil {
		// Without it finished commands would be handled again; their ids make
		// that harmless for as long as they are remembered.
		m.log.Error("offset metadata can't be read; starting at the offset itself",
			"topic", m.config.Topic, "partition", c.partition, "error", err)
		progress = &Progress{next: start}
	}
	return &Claim{Partition: c.partition, Progress: progress, start: start}, nil
}

// missing says what is wrong with a group's offset, and which choices there are.
func (m *Member) missing(c committed, holds log.Span) error {
	why := fmt.Sprintf("group %s has no committed offset for it (they expire when a group is idle)", m.config.Group)
	if c.offset > holds.To {
		why = fmt.Sprintf("group %s has committed offset %d for it (the topic was made anew, or has lost records)", m.config.Group, c.offset)
	}
	return fmt.Errorf("%s/%d holds records from offset %d to %d, but %s: "+
		"set log.missing_offsets to %q to handle what is there, or to %q to leave it undone",
		m.config.Topic, c.partition, holds.From, holds.To-1, why, ReplayMissing, SkipMissing)
}

// adjust makes the client read from where the claims say.
func (m *Member) adjust(_ context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	for partition := range offsets[m.config.Topic] {
		claim := m.claims.get(partition)
		if claim == nil {
			return nil, fmt.Errorf("partition %d of %s has no claim: %w", partition, m.config.Topic, kerr.UnknownMemberID)
		}
		offsets[m.config.Topic][partition] = kgo.NewOffset().At(claim.start)
	}
	return offsets, nil
}

// revoked runs before partitions are given up. Their claims end once the owner
// has let go.
func (m *Member) revoked(ctx context.Context, cl *kgo.Client, gone map[string][]int32) {
	claims := m.claims.of(gone[m.config.Topic])
	if len(claims) == 0 {
		return
	}
	if member, _ := cl.GroupMetadata(); claims[0].member != member {
		m.lose(claims) // gone long ago, with the membership
		return
	}
	stop := m.stay(ctx)
	defer stop()
	m.owner.Revoked(claims)
	m.claims.end(claims)
}

// lost runs after partitions are gone: somebody else may own them by now.
func (m *Member) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	if claims := m.claims.of(gone[m.config.Topic]); len(claims) > 0 {
		m.lose(claims)
	}
}

func (m *Member) lose(claims []*Claim) {
	m.claims.end(claims)
	m.owner.Lost(claims)
}

// stay heartbeats until stop is called. The client does not do so while it
// leaves, and the owner may take longer than a session to let go.
func (m *Member) stay(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		member, generation := m.consumer.GroupMetadata()
		for sleep(ctx, sessionTimeout/6) == nil {
			// An error is for the commits to find out.
			_ = m.heartbeat(ctx, fence{member, generation})
		}
	}()
	return func() { cancel(); <-ended }
}

// startOver takes the member out of its group. The client hears of it with its
// next heartbeat, gives up what it still has, and joins anew.
func (m *Member) startOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	member, _ := m.consumer.GroupMetadata()
	err := leave(ctx, m.consumer, m.config.Group, member, "it begins anew")
	if err != nil && !fenced(err) { // then it is out already
		m.fail(fmt.Errorf("leave %s to join it anew: %w", m.config.Group, err))
	}
}

// fail says that the member can't go on.
func (m *Member) fail(err error) {
	select {
	case m.failed <- err:
	default: // it has been said
	}
}
