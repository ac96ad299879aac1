package log

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Enrol gives a group that reads a domain's events its first offsets. A new one
// begins at the start of the log. One that has begun before goes on where it was;
// should its offsets be gone, as brokers delete those of groups that are idle
// for long, that is for its members to say, and not a reason to begin anew.
func (c Cluster) Enrol(ctx context.Context, client *kgo.Client, group, domain string) error {
	admin := kadm.NewClient(client)
	if _, err := ensureTopics(ctx, admin, []policy{groupsPolicy()}, TopicSettings{Partitions: 1}); err != nil {
		return fmt.Errorf("group %s: %w", group, err)
	}
	known, err := c.enrolled(ctx, client, group)
	if err != nil {
		return fmt.Errorf("group %s: look whether it is new: %w", group, err)
	}
	if err := commitFirstOffsets(ctx, admin, group, EventsTopic(domain), !known); err != nil || known {
		return err
	}
	// Only now: who dies before this is new once more, and keeps what it has.
	r := Enrolled(group, time.Now())
	if err := client.ProduceSync(ctx, r.ToClient()).FirstErr(); err != nil {
		return fmt.Errorf("group %s: write that it has begun: %w", group, err)
	}
	return nil
}

// Enrolled is the record that says of a group that it has begun.
func Enrolled(group string, now time.Time) Record {
	return Record{Topic: GroupsTopic, Key: []byte(group), Value: now.UTC().AppendFormat(nil, time.RFC3339)}
}

func (c Cluster) enrolled(ctx context.Context, client *kgo.Client, group string) (known bool, err error) {
	ends, err := HighWatermarks(ctx, client, GroupsTopic)
	if err != nil {
		return false, err
	}
	spans := make(map[int32]Span, len(ends))
	for partition, end := range ends {
		spans[partition] = Span{To: end}
	}
	err = c.Scan(ctx, GroupsTopic, spans, func(r *Record) error {
		if string(r.Key) == group {
			known = true
			return ErrStop
		}
		return nil
	})
	return known, err
}
