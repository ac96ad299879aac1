package log

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reader is a group that reads a domain's events: a projector's or a saga's.
type Reader struct {
	Group string
	// Synchronous says that answers to synchronous commands wait for it.
	Synchronous bool
}

// Enrolled is the record that says of a group that it has begun.
func (r Reader) Enrolled(now time.Time) Record {
	enrolled := Record{Topic: GroupsTopic, Key: []byte(r.Group), Value: now.UTC().AppendFormat(nil, time.RFC3339)}
	if r.Synchronous {
		enrolled.Headers = []Header{{Key: HeaderSynchronous, Value: headerTrue}}
	}
	return enrolled
}

// DecodeReader reads a record of the groups' topic; false says that the group is
// no more.
func DecodeReader(r *Record) (Reader, bool) {
	return Reader{Group: string(r.Key), Synchronous: string(r.Header(HeaderSynchronous)) == "true"}, r.Value != nil
}

// EnsureGroups creates the groups' topic where it is missing, and checks it.
func EnsureGroups(ctx context.Context, client *kgo.Client) error {
	_, err := ensureTopics(ctx, kadm.NewClient(client), []policy{groupsPolicy()}, TopicSettings{Partitions: 1})
	return err
}

// Enrol gives a group that reads a domain's events its first offsets. A new one
// begins at the start of the log. One that has begun before goes on where it was;
// should its offsets be gone, as brokers delete those of groups that are idle
// for long, that is for its members to say, and not a reason to begin anew.
func (c Cluster) Enrol(ctx context.Context, client *kgo.Client, reader Reader, domain string) error {
	group := reader.Group
	if err := EnsureGroups(ctx, client); err != nil {
		return fmt.Errorf("group %s: %w", group, err)
	}
	was, known, err := c.enrolled(ctx, client, group)
	if err != nil {
		return fmt.Errorf("group %s: look whether it is new: %w", group, err)
	}
	if err := commitFirstOffsets(ctx, kadm.NewClient(client), group, EventsTopic(domain), !known); err != nil || known && was == reader {
		return err
	}
	// Only now: who dies before this is new once more, and keeps what it has.
	r := reader.Enrolled(time.Now())
	if err := client.ProduceSync(ctx, r.ToClient()).FirstErr(); err != nil {
		return fmt.Errorf("group %s: write that it has begun: %w", group, err)
	}
	return nil
}

// enrolled is what the groups' topic has of a group.
func (c Cluster) enrolled(ctx context.Context, client *kgo.Client, group string) (was Reader, known bool, err error) {
	ends, err := HighWatermarks(ctx, client, GroupsTopic)
	if err != nil {
		return was, false, err
	}
	err = c.Scan(ctx, GroupsTopic, spansTo(ends), func(r *Record) error {
		if string(r.Key) == group {
			was, known = DecodeReader(r)
		}
		return nil
	})
	return was, known, err
}
