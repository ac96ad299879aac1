package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// resumeAfter is the longest pause before a subscription is resumed.
const resumeAfter = 2 * time.Second

// follow prints events as they are committed, until it is interrupted. It resumes
// by the position of what was printed last.
func (c *client) follow(cmd *cobra.Command, query *pb.Query) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	door, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer door.close()
	p := printer{ctx: ctx, out: cmd.OutOrStdout(), types: door.types}
	complain := printer{out: cmd.ErrOrStderr()}
	for failures := 0; ; failures++ {
		err := c.followOnce(ctx, door, query, &p, &failures)
		st := status.Convert(err)
		switch {
		case p.err != nil:
			return p.err
		case ctx.Err() != nil:
			return ctx.Err()
		case st.Code() != codes.Unavailable && st.Code() != codes.ResourceExhausted:
			complain.refusal(st)
			return errors.Join(reported(st), complain.err)
		case failures == 0:
			complain.printf("the subscription broke, it is resumed: %s\n", st.Message())
		}
		pause := time.NewTimer(min(resumeAfter, 50*time.Millisecond<<min(failures, 6)))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// followOnce prints what one stream gives, and has the query begin behind that.
func (c *client) followOnce(ctx context.Context, door *frontDoor, query *pb.Query, p *printer, failures *int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewEventQueryClient(door.conn).Synchronize(ctx, grpc.WaitForReady(true))
	if err == nil && stream.Send(query) != nil {
		_, err = stream.Recv() // which says why
	}
	for err == nil && p.err == nil {
		var book *pb.EventBook
		if book, err = stream.Recv(); err != nil {
			break
		}
		*failures = 0 // it stood
		switch {
		case c.output == outputJSON:
			p.jsonPages(book)
		case query.GetRoot() == nil:
			p.textPages(book, rootText(book.GetCover().GetRoot())+" ")
		default:
			p.textPages(book, "")
		}
		if len(book.GetPosition()) > 0 {
			query.Position = book.GetPosition()
		}
	}
	return err
}
