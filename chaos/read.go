package chaos

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/log"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// reader reads what is committed.
type reader struct {
	cluster log.Cluster
	admin   *log.Admin
	domain  string
}

// topic gives all that is committed in a topic, partition by partition.
func (r reader) topic(ctx context.Context, topic string) (all []log.Record, err error) {
	ends, err := r.admin.HighWatermarks(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	spans := make(map[int32]log.Span, len(ends))
	for partition, end := range ends {
		spans[partition] = log.Span{To: end}
	}
	err = r.cluster.Scan(ctx, topic, spans, func(record *log.Record) error {
		all = append(all, *record)
		return nil
	})
	slices.SortFunc(all, func(a, b log.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return all, err
}

// settle waits until every command in the topic has an outcome. If that never
// comes, the proof of outcomes says which have none.
func (r reader) settle(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		commands, err := r.topic(ctx, log.CommandsTopic(r.domain))
		if err != nil {
			return err
		}
		outcomes, err := r.topic(ctx, log.OutcomesTopic(r.domain))
		if err != nil {
			return err
		}
		if len(outcomes) >= len(commands) || sleep(ctx, 500*time.Millisecond) != nil {
			return nil
		}
	}
}

// evidence reads the domain's topics.
func (r reader) evidence(ctx context.Context) (e evidence, err error) {
	if e.Pages, err = r.pages(ctx); err != nil {
		return e, err
	}
	if e.Outcomes, err = r.outcomes(ctx); err != nil {
		return e, err
	}
	commands, err := r.commands(ctx)
	if err != nil {
		return e, err
	}
	e.Commands = countByID(commands)
	e.DeadLetters, err = r.deadLetters(ctx)
	return e, err
}

func (r reader) outcomes(ctx context.Context) (all []outcome, err error) {
	records, err := r.topic(ctx, log.OutcomesTopic(r.domain))
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		o := &pb.Outcome{}
		if err := proto.Unmarshal(record.Value, o); err != nil {
			return nil, fmt.Errorf("outcome at %s: %w", record.Source(), err)
		}
		all = append(all, outcome{o.CommandId, codes.Code(o.Code), o.Message, o.FirstPage, o.LastPage, record.Partition, record.Offset})
	}
	return all, nil
}

func (r reader) commands(ctx context.Context) (all []sent, err error) {
	records, err := r.topic(ctx, log.CommandsTopic(r.domain))
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		c := &pb.CommandBook{}
		if err := proto.Unmarshal(record.Value, c); err != nil {
			return nil, fmt.Errorf("command at %s: %w", record.Source(), err)
		}
		all = append(all, sent{c, record.Source(), record.Time})
	}
	return all, nil
}

func countByID(all []sent) map[string]int {
	count := make(map[string]int)
	for _, c := range all {
		count[c.Book.CommandId]++
	}
	return count
}

// deadLetters says of each whence it is, and why.
func (r reader) deadLetters(ctx context.Context) (all []string, err error) {
	records, err := r.topic(ctx, log.DeadLettersTopic(r.domain))
	for _, record := range records {
		all = append(all, fmt.Sprintf("%s (%s: %s)", record.Key, record.Header(log.HeaderDeadCause), record.Header(log.HeaderDeadMessage)))
	}
	return all, err
}

func (r reader) pages(ctx context.Context) (pages []stored, err error) {
	records, err := r.topic(ctx, log.EventsTopic(r.domain))
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		switch root, _, kind := log.ParseKey(record.Key); {
		case kind == log.KeySnapshot:
			continue
		case kind == log.KeyErased, record.Value == nil:
			return nil, fmt.Errorf("%s/%d/%d: root %s was erased, and nobody asked for that", record.Topic, record.Partition, record.Offset, root)
		}
		p, err := log.DecodePage(&record)
		if err != nil {
			return nil, fmt.Errorf("page at %s/%d/%d: %w", record.Topic, record.Partition, record.Offset, err)
		}
		packed := &anypb.Any{TypeUrl: p.TypeURL, Value: p.Value}
		pages = append(pages, stored{page{p.Sequence, textOf(packed)}, p.Root, p.Cause.CommandID, record.Partition, p.Offset, packed})
	}
	return pages, nil
}
