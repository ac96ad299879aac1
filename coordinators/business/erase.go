package business

import (
	"context"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// eraseAtOnce bounds how many tombstones a transaction writes for an erasure.
const eraseAtOnce = 10_000

// erasure is what one transaction does for an erasure. The first one makes the
// root answer ERASED, whatever becomes of the rest: each says how many pages are
// left, so that any owner can go on.
type erasure struct {
	erased   *angzarr.Erased // what is known of it then
	from, to uint32          // the pages that get tombstones; none if to is less
	letters  []log.LetterID  // the dead letters that do
	rest     []log.LetterID  // those that are left to the next transaction
	// command, if not nil, goes to the commands topic, so that whoever owns the
	// partition then finishes what this owner does not.
	command *log.Record
}

// unfinished says that another transaction has to follow.
func (e *erasure) unfinished() bool { return e.erased.PagesLeft > 0 || len(e.rest) > 0 }

// nextErasure decides on the next transaction of an erasure, of which the book
// knows how far it is. A complete one is written again: that closes a segment
// whose time has come, which compaction leaves alone until then.
func nextErasure(before *angzarr.Erased, last uint32, reason string, letters []log.LetterID, now time.Time, atOnce int) *erasure {
	e := &erasure{}
	if before != nil {
		e.erased = proto.Clone(before).(*angzarr.Erased)
	} else {
		e.erased = &angzarr.Erased{LastSequence: last, PagesLeft: last, Reason: reason, ErasedAt: timestamppb.New(now)}
	}
	n := min(len(letters), atOnce)
	e.letters, e.rest = letters[:n], letters[n:]
	pages := min(e.erased.PagesLeft, uint32(atOnce-n))
	e.from = e.erased.LastSequence - e.erased.PagesLeft + 1
	e.to = e.from + pages - 1
	e.erased.PagesLeft -= pages
	return e
}

// write puts the erasure's records on the sheet, the word of it first.
func (e *erasure) write(s *log.Sheet, domain string, root log.Root, partition int32) {
	s.AddErased(root, e.erased, partition)
	s.AddSnapshotTombstone(root, partition)
	for n := e.from; n <= e.to; n++ {
		s.AddPageTombstone(root, n, partition)
	}
	for _, id := range e.letters {
		s.Records = append(s.Records, id.Done(domain))
	}
	if e.command != nil {
		s.Records = append(s.Records, *e.command)
	}
}

// CheckErase says what is wrong with an EraseRequest, nil if nothing is.
func CheckErase(r *angzarr.EraseRequest) *status.Status {
	const mostReason = 1 << 10
	if st := checkCover(r.GetCover()); st != nil {
		return st
	}
	if len(r.Reason) > mostReason {
		return invalid("reason", fmt.Sprintf("has %d bytes, more than %d", len(r.Reason), mostReason))
	}
	return checkIDs(r.CommandId, "")
}

// Erase erases the root for good, and returns once nothing reads its pages any
// more. The request must have passed [CheckErase], and have its id; else as Handle.
func (w *Worker) Erase(ctx context.Context, r *angzarr.EraseRequest, traceparent string) (*angzarr.EventBook, error) {
	return w.submit(ctx, &command{
		root: log.Root(r.Cover.Root.Value), erase: r,
		cause: log.Cause{CommandID: r.CommandId, CorrelationID: r.CommandId, Traceparent: traceparent},
	})
}

// readErasure reads a polled one.
func (c *command) readErasure(value []byte) *status.Status {
	r := &angzarr.EraseRequest{}
	if err := proto.Unmarshal(value, r); err != nil {
		return status.Newf(codes.InvalidArgument, "the record's value is no EraseRequest: %v", err)
	}
	c.identify(r.CommandId, "")
	if st := CheckErase(r); st != nil {
		return st
	}
	c.erase = r
	c.order = order{domain: r.Cover.Domain, root: log.Root(r.Cover.Root.Value)}
	return nil
}

// decideErasure looks for the root's dead letters, and decides on the first
// transaction.
func (w *Worker) decideErasure(l *line, c *command) {
	if st := cannotErase(w.domain.Name, l.root, l.book); st != nil {
		w.decideOn(&decision{command: c, line: l, refused: st})
		return
	}
	p := l.part
	w.loop.Aside(func() func() {
		letters, err := w.lettersOf(p.ctx, l.root)
		return func() {
			switch {
			case p.ctx.Err() != nil:
				w.abandon(l, c)
			case err != nil:
				w.unread(l, c, err)
			default:
				c.letters = letters
				w.eraseMore(l, c)
			}
			w.step()
		}
	})
}

// lettersOf are the root's dead letters. What is written while they are looked for
// is of others: the root's line does nothing else.
func (w *Worker) lettersOf(ctx context.Context, root log.Root) ([]log.LetterID, error) {
	ends, err := w.member.HighWatermarks(ctx, log.DeadLettersTopic(w.domain.Name))
	if err != nil {
		return nil, fmt.Errorf("read the dead letters of %s: %w", w.domain.Name, err)
	}
	found, err := w.cluster.ReadLetters(ctx, w.domain.Name, ends, func(l *log.DeadLetter) bool {
		return l.Of(root) && l.Dropped == ""
	})
	var ids []log.LetterID
	for id := range found {
		if id.Source.Partition < w.domain.Partitions {
			ids = append(ids, id)
		}
	}
	return ids, err
}

// eraseMore decides on the next transaction of an erasure.
func (w *Worker) eraseMore(l *line, c *command) {
	e := nextErasure(l.book.Erasure(), l.book.Last(), c.erase.Reason, c.letters, time.Now(), w.limits.eraseAtOnce)
	// A record with a deadline is not handled again once that has passed.
	_, bounded := c.ctx.Deadline()
	if e.unfinished() && (c.polled == nil || bounded) && !c.remembered {
		r := erasureRecord(c.erase, w.domain.Name, l.part.claim.Partition)
		e.command = &r
	}
	w.decideOn(&decision{command: c, line: l, erasure: e})
}

// erasureRecord is an erasure as a command of the topic.
func erasureRecord(r *angzarr.EraseRequest, domain string, partition int32) log.Record {
	return log.Record{
		Topic: log.CommandsTopic(domain), Partition: partition, Key: r.Cover.Root.Value, Value: mustMarshal(r),
		Headers: []log.Header{
			{Key: log.HeaderKind, Value: []byte(log.KindErasure)},
			{Key: log.HeaderCommandID, Value: []byte(r.CommandId)},
		},
	}
}

// erasedSome takes in a transaction of an erasure that is not the last one.
func (w *Worker) erasedSome(d *decision) {
	d.remembered = true
	if d.part.closing || d.part.ctx.Err() != nil {
		w.abandon(d.line, d.command)
		return
	}
	w.eraseMore(d.line, d.command)
}
