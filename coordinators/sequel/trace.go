package sequel

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/angzarr/angzarr-kafka/coordinators/saga"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// reactions finds what a service has made of pages that it has done with.
func (l *looker) reactions(ctx context.Context, w *want, at place) ([]*angzarr.Reaction, error) {
	all, err := l.failures(ctx, w, at)
	if err != nil {
		return nil, err
	}
	done := l.reaction(w, w.first, w.last)
	if w.reader.Kind == log.KindSaga {
		done.Commands, err = l.commands(ctx, w)
	} else {
		done.Projection, err = l.projection(ctx, w)
	}
	if err != nil {
		return nil, err
	}
	return append(all, done), nil
}

func (l *looker) reaction(w *want, first, last uint32) *angzarr.Reaction {
	return &angzarr.Reaction{Group: w.reader.Group, Cover: w.cover(), FirstPage: first, LastPage: last}
}

// rest is what a topic holds from where it can matter to its end now.
func (l *looker) rest(ctx context.Context, topic string) (map[int32]log.Span, int32, error) {
	from, err := l.offsetsAt(ctx, topic)
	if err != nil {
		return nil, 0, err
	}
	ends, err := l.g.c.Admin.HighWatermarks(ctx, topic)
	if err != nil {
		return nil, 0, err
	}
	spans := make(map[int32]log.Span)
	for partition, end := range ends {
		if from[partition] < end {
			spans[partition] = log.Span{From: from[partition], To: end}
		}
	}
	return spans, int32(len(ends)), nil
}

// restOf is the same of the partition that a root has there.
func (l *looker) restOf(ctx context.Context, topic string, root log.Root) (map[int32]log.Span, error) {
	spans, partitions, err := l.rest(ctx, topic)
	if err != nil || partitions == 0 {
		return nil, err
	}
	partition := partitioning.Of(root, partitions)
	if span, ok := spans[partition]; ok {
		return map[int32]log.Span{partition: span}, nil
	}
	return nil, nil
}

// failures are those of the pages that became dead letters.
func (l *looker) failures(ctx context.Context, w *want, at place) (all []*angzarr.Reaction, err error) {
	spans, err := l.restOf(ctx, log.DeadLettersTopic(w.domain), w.root)
	if err != nil {
		return nil, err
	}
	letters := log.Letters{}
	err = l.g.c.Cluster.FollowLetters(ctx, w.domain, spans, letters.Fold(func(letter *log.DeadLetter) bool {
		return letter.ID.Reader == w.reader.Group && slices.Contains(at.offsets, letter.ID.Source.Offset)
	}))
	if err != nil {
		return nil, err
	}
	for id, letter := range letters {
		n := w.first + uint32(slices.Index(at.offsets, id.Source.Offset))
		r := l.reaction(w, n, n)
		r.Failure = letter.Cause + ": " + letter.Message
		all = append(all, r)
	}
	return all, nil
}

// projection is the root's latest, nil if none was published for the pages.
func (l *looker) projection(ctx context.Context, w *want) (latest *angzarr.Projection, err error) {
	topic := log.ProjectionsTopic(w.reader.Name)
	spans, err := l.restOf(ctx, topic, w.root)
	if err != nil {
		return nil, err
	}
	err = l.g.c.Cluster.Scan(ctx, topic, spans, func(r *log.Record) error {
		if string(r.Key) != string(w.root[:]) {
			return nil
		}
		if r.Value == nil {
			latest = nil // it was erased
			return nil
		}
		p := &angzarr.Projection{}
		if err := proto.Unmarshal(r.Value, p); err != nil {
			return fmt.Errorf("offset %d of %s/%d: %w", r.Offset, r.Topic, r.Partition, err)
		}
		if p.GetCover().GetDomain() == w.domain { // roots of two domains may be the same
			latest = p
		}
		return nil
	})
	if latest.GetSequence() < w.last {
		latest = nil
	}
	return latest, err
}

// commands are those that a saga has made of the pages, in order. They may be in any
// domain.
func (l *looker) commands(ctx context.Context, w *want) (all []*angzarr.CommandBook, err error) {
	domains, err := l.g.c.Domains.All(ctx)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool) // one that was in the wrong partition was sent on
	for _, domain := range domains {
		topic := log.CommandsTopic(domain)
		spans, _, err := l.rest(ctx, topic)
		if errors.Is(err, log.ErrNoTopic) {
			continue // it was deleted
		}
		if err != nil {
			return nil, err
		}
		mark := []byte(w.reader.Name + "/" + w.domain + "/" + w.root.String() + "/")
		err = l.g.c.Cluster.Scan(ctx, topic, spans, func(r *log.Record) error {
			if !bytes.Contains(r.Value, mark) {
				return nil
			}
			book := &angzarr.CommandBook{}
			if proto.Unmarshal(r.Value, book) == nil && w.emitted(book) && !seen[book.CommandId] {
				seen[book.CommandId] = true
				all = append(all, book)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b *angzarr.CommandBook) int {
		x, y := a.SagaOrigin, b.SagaOrigin
		return cmp.Or(cmp.Compare(x.GetSequence(), y.GetSequence()), cmp.Compare(x.GetIndex(), y.GetIndex()))
	})
	return all, nil
}

// emitted says whether the saga has made a command of one of the pages.
func (w *want) emitted(book *angzarr.CommandBook) bool {
	origin := book.SagaOrigin
	n := origin.GetSequence()
	return origin.GetSaga() == w.reader.Name && n >= w.first && n <= w.last && book.GetCover() != nil &&
		strings.HasPrefix(book.CommandId, saga.CommandsOf(w.reader.Name, w.domain, w.root, n))
}

// tracing is what is known of a command so far.
type tracing struct {
	next    int64            // from where on the outcomes are still to be read
	outcome *angzarr.Outcome // nil until it is found
}

// command finds out what became of a command.
func (l *looker) command(ctx context.Context, w *want, found *findings) error {
	partitions, st := l.g.c.Domains.Find(ctx, "cover.domain", w.domain)
	if st != nil {
		return st.Err()
	}
	partition := partitioning.Of(w.root, partitions)
	t := l.outcomes[w.command]
	if t == nil {
		from, err := l.offsetAt(ctx, log.OutcomesTopic(w.domain), partition)
		if err != nil {
			return err
		}
		t = &tracing{next: from}
		l.outcomes[w.command] = t
	}
	if t.outcome == nil {
		err := l.each(ctx, log.OutcomesTopic(w.domain), partition, t.next, func(r *log.Record) (bool, error) {
			t.next = r.Offset + 1
			if !bytes.Contains(r.Value, []byte(w.command)) {
				return false, nil
			}
			o := &angzarr.Outcome{}
			if proto.Unmarshal(r.Value, o) != nil || o.CommandId != w.command {
				return false, nil
			}
			t.outcome = o
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	if t.outcome.LastPage > 0 && t.outcome.Book == nil {
		switch err := l.book(ctx, w, t.outcome, partition); err {
		case nil:
		case errErased:
			t.outcome.Book = &angzarr.EventBook{}
		default:
			return err
		}
	}
	found.outcomes = append(found.outcomes, t.outcome)
	return nil
}

// book reads the pages that a command has led to.
func (l *looker) book(ctx context.Context, w *want, o *angzarr.Outcome, partition int32) error {
	of := stretch{aggregate: w.aggregate, first: o.FirstPage, last: o.LastPage}
	from, err := l.offsetAt(ctx, log.EventsTopic(w.domain), partition)
	if err != nil {
		return err
	}
	pages, err := l.read(ctx, of, partition, from)
	if err != nil {
		return err
	}
	at := place{partition: partition}
	o.Book = &angzarr.EventBook{CommandId: o.CommandId, CorrelationId: o.CorrelationId}
	for i := range pages {
		at.offsets = append(at.offsets, pages[i].offset)
		o.Book.Pages = append(o.Book.Pages, pages[i].Proto())
	}
	l.places[keyOf(of)] = at
	return nil
}
