package business

import (
	"context"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Handle decides the command and returns once its pages are committed. The book
// must have passed [CheckCommands], and have its ids. ErrNotOwner says that
// nothing has happened; any other error is a status.
func (w *Worker) Handle(ctx context.Context, book *angzarr.CommandBook, traceparent string) (*angzarr.EventBook, error) {
	value, err := proto.Marshal(book)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "the command can't be encoded: %v", err)
	}
	return w.submit(ctx, &command{
		root: log.Root(book.Cover.Root.Value), order: orderOf(book), encoded: value,
		cause: log.Cause{
			CommandID: book.CommandId, CorrelationID: book.CorrelationId,
			Traceparent: traceparent, Hops: book.GetSagaOrigin().GetHops(), AnswerTo: answerTo(ctx),
		},
	})
}

// Record commits the pages without asking business logic; else as Handle. The
// book must have passed [CheckEvents], and have its ids.
func (w *Worker) Record(ctx context.Context, book *angzarr.EventBook, traceparent string) (*angzarr.EventBook, error) {
	return w.submit(ctx, &command{
		root: log.Root(book.Cover.Root.Value), record: book,
		cause: log.Cause{CommandID: book.CommandId, CorrelationID: book.CorrelationId, Traceparent: traceparent, AnswerTo: answerTo(ctx)},
	})
}

type answerToKey struct{}

// AnsweringTo is the context of a call whose caller waits for what its pages lead
// to: a [log.AnswerTo] as text, which goes with them.
func AnsweringTo(ctx context.Context, to string) context.Context {
	return context.WithValue(ctx, answerToKey{}, to)
}

func answerTo(ctx context.Context) string {
	to, _ := ctx.Value(answerToKey{}).(string)
	return to
}

func (w *Worker) submit(ctx context.Context, c *command) (*angzarr.EventBook, error) {
	c.ctx, c.arrived = ctx, time.Now()
	c.answer = make(chan answer, 1)
	if !w.loop.Do(func() { w.called(c) }) {
		return nil, ErrNotOwner
	}
	select {
	case a := <-c.answer:
		return a.book, a.err
	case <-ctx.Done():
	}
	gaveUp := c.give()
	select {
	case a := <-c.answer: // it was there already
		return a.book, a.err
	default:
	}
	if gaveUp {
		return nil, c.late(ctx.Err()).Err()
	}
	return nil, inDoubt(c.cause.CommandID).Err()
}

// Owns says whether the worker takes commands for the partition.
func (w *Worker) Owns(partition int32) bool {
	owned := false
	w.loop.Call(func() {
		p := w.parts[partition]
		owned = p != nil && !p.closing
	})
	return owned
}
