package client

import (
	"context"
	"fmt"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Checkpoint keeps the position of a subscription.
type Checkpoint interface {
	// Load gives what was saved last, nil if nothing was.
	Load() ([]byte, error)
	// Save has it last: after an error the old one or the new one is there.
	Save(position []byte) error
}

// Subscribe calls handle with every book that a query wants, first those of the
// past, then each as it is committed, until ctx ends or handle fails. It goes on by
// itself after connections that broke and servers that stopped, and after its own
// end at the checkpoint. Books without pages say how far it is: the last of the
// past is marked caught_up. One with erased has the pages of its root forgotten.
func (c *Client) Subscribe(ctx context.Context, query *angzarr.Query, at Checkpoint, handle func(*angzarr.EventBook) error) error {
	query = proto.CloneOf(query)
	position, err := at.Load()
	if err != nil {
		return fmt.Errorf("load the checkpoint: %w", err)
	}
	if position != nil {
		query.Position = position
	}
	for failures := 0; ; failures++ {
		var own error // the caller's, which says nothing of the connection
		err := c.subscribeOnce(ctx, query, func(book *angzarr.EventBook) error {
			failures = 0
			if own = handle(book); own != nil {
				return own
			}
			if own = at.Save(book.Position); own != nil {
				own = fmt.Errorf("save the checkpoint: %w", own)
				return own
			}
			query.Position = book.Position
			return nil
		})
		if own != nil {
			return own
		}
		switch status.Code(err) {
		case codes.Unavailable, codes.ResourceExhausted:
			if pause(ctx, failures) {
				continue
			}
		}
		return err
	}
}

func (c *Client) subscribeOnce(ctx context.Context, query *angzarr.Query, take func(*angzarr.EventBook) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.queries.Synchronize(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if err := stream.Send(query); err != nil {
		_, err = stream.Recv() // which says why
		return err
	}
	for {
		book, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := take(book); err != nil {
			return err
		}
	}
}
