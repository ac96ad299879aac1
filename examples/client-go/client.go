// Package client is how a program in Go talks to Angzarr, with the generated
// stubs and nothing else: commands that are decided on what is there, and
// subscriptions that go on where they were.
//
//	Decide:     GetEvents ──► decide ──► Handle ──► ABORTED? once more from the start
//	Subscribe:  checkpoint ──► Synchronize ──► handle ──► checkpoint
//
// Invariants:
//   - A command is applied at most once, whatever is repeated: its id is the same
//     each time.
//   - A checkpoint is kept after what it covers was handled, never before: a crash
//     between the two has a book handled twice, and none left out.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// longestPause bounds the pauses before something is tried again.
const longestPause = 2 * time.Second

// Client talks to a front door.
type Client struct {
	commands angzarr.BusinessCoordinatorClient
	queries  angzarr.EventQueryClient
}

// New takes a connection, which stays the caller's to close.
func New(conn grpc.ClientConnInterface) *Client {
	return &Client{angzarr.NewBusinessCoordinatorClient(conn), angzarr.NewEventQueryClient(conn)}
}

// Book gives an aggregate's open book: its latest snapshot, and the pages after it.
func (c *Client) Book(ctx context.Context, cover *angzarr.Cover) (*angzarr.EventBook, error) {
	stream, err := c.queries.GetEvents(ctx, &angzarr.Query{Domain: cover.Domain, Root: cover.Root, OpenBook: true})
	if err != nil {
		return nil, fmt.Errorf("ask for the book: %w", err)
	}
	book := &angzarr.EventBook{Cover: cover}
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return book, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the book: %w", err)
		}
		proto.Merge(book, part)
	}
}

// last is the number of a book's last page, 0 if there is none.
func last(book *angzarr.EventBook) uint32 {
	if n := len(book.Pages); n > 0 {
		return book.Pages[n-1].GetNum()
	}
	return book.GetSnapshot().GetSequence()
}

// Decide has decide make a command of an aggregate's open book, and applies it
// only if nothing was written to the aggregate meanwhile; else it is decided anew
// on what is there then. decide may give nil: nothing is to be done.
//
// The id makes repeats safe: choose one for each thing that is to be done once,
// such as an order's number. Errors in which the command may have been applied are
// followed by the same command with the same id, for as long as ctx lasts.
func (c *Client) Decide(ctx context.Context, cover *angzarr.Cover, id string, decide func(*angzarr.EventBook) (proto.Message, error)) (*angzarr.SynchronousProcessingResponse, error) {
	for {
		book, err := c.Book(ctx, cover)
		if err != nil {
			return nil, err
		}
		command, err := decide(book)
		if err != nil || command == nil {
			return nil, err
		}
		payload, err := anypb.New(command)
		if err != nil {
			return nil, fmt.Errorf("encode the command: %w", err)
		}
		answer, err := c.send(ctx, &angzarr.CommandBook{
			Cover: cover, CommandId: id,
			Pages: []*angzarr.CommandPage{{Sequence: last(book) + 1, Command: payload}},
		})
		if !Outdated(err) {
			return answer, err
		}
	}
}

// send repeats a command until it is known what became of it.
func (c *Client) send(ctx context.Context, command *angzarr.CommandBook) (*angzarr.SynchronousProcessingResponse, error) {
	for failures := 0; ; failures++ {
		answer, err := c.commands.Handle(ctx, command)
		if err == nil {
			return answer, nil
		}
		switch status.Code(err) {
		case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded:
			if pause(ctx, failures) {
				continue
			}
		}
		return nil, err
	}
}

// Outdated says whether a command was refused because the aggregate has changed:
// it was not applied, and is to be decided anew.
func Outdated(err error) bool {
	if status.Code(err) != codes.Aborted {
		return false
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.Reason == "SEQUENCE_MISMATCH" {
			return true
		}
	}
	return false // business logic's own
}

// pause waits longer after each failure; false says that ctx has ended.
func pause(ctx context.Context, failures int) bool {
	t := time.NewTimer(min(longestPause, 50*time.Millisecond<<min(failures, 6)))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
