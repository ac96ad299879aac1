package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const eventsHelp = `Print an aggregate's events, the oldest first: number, time, type and payload.

Types are learned from the business logic's gRPC reflection, through the front
door, or from --descriptor-set. A payload of unknown type is shown as bytes. With
-o json each event is an object on a line of its own.

With --follow it goes on with events as they are committed, and by itself after a
connection broke, without a gap or a repeat. ROOT may be left out then: all of the
domain's events are printed, each with its root.`

const eventsExample = `  angzarr events inventory 550e8400-e29b-41d4-a716-446655440000
  angzarr events inventory 550e8400-e29b-41d4-a716-446655440000 --from 10 -o json | jq .event
  angzarr events inventory 550e8400-e29b-41d4-a716-446655440000 --as-of 2026-01-31T12:00:00Z
  angzarr events inventory --follow`

func newEventsCommand() *cobra.Command {
	c := &client{}
	var from, to uint32
	var moment string
	var follow bool
	cmd := &cobra.Command{
		Use:     "events DOMAIN ROOT",
		Short:   "Print an aggregate's events",
		Long:    eventsHelp,
		Example: eventsExample,
		Args: func(cmd *cobra.Command, args []string) error {
			if follow && len(args) == 1 {
				return nil
			}
			return wants("DOMAIN", "ROOT")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			query := &pb.Query{Domain: args[0], LowerBound: from, UpperBound: to}
			if len(args) == 2 {
				root, err := parseRoot(args[1])
				if err != nil {
					return err
				}
				query.Root = root
			}
			if to != 0 && from > to {
				return usageError{fmt.Errorf("--from %d is behind --to %d", from, to)}
			}
			if moment != "" && (from != 0 || to != 0) {
				return usageError{errors.New("--as-of goes without --from and --to")}
			}
			if follow && (to != 0 || moment != "") {
				return usageError{errors.New("--follow has no end: it goes without --to and --as-of")}
			}
			if follow && query.Root == nil && from != 0 {
				return usageError{errors.New("--from is a number of one ROOT's pages")}
			}
			if follow {
				return c.follow(cmd, query)
			}
			if err := asOf(query, moment); err != nil {
				return err
			}
			return c.events(cmd, query)
		},
	}
	c.addFlags(cmd)
	addAsOf(cmd, &moment)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with events as they are committed; without ROOT, with all of the domain's")
	cmd.Flags().Uint32Var(&from, "from", 0, "number of the first page to print")
	cmd.Flags().Uint32Var(&to, "to", 0, "number of the last page to print")
	return cmd
}

func (c *client) events(cmd *cobra.Command, query *pb.Query) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	door, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer door.close()
	stream, err := pb.NewEventQueryClient(door.conn).GetEvents(ctx, query)
	if err != nil {
		return fmt.Errorf("ask for events: %w", err)
	}
	p := printer{ctx: ctx, out: cmd.OutOrStdout(), types: door.types}
	printed := 0
	for p.err == nil {
		book, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			if printed == 0 {
				complain := printer{out: cmd.ErrOrStderr()}
				complain.printf("%s\n", nothingThere(query))
			}
			return p.err
		case err != nil:
			return p.failed(cmd, err)
		case c.output == outputJSON:
			p.jsonPages(book)
		default:
			p.textPages(book, "")
		}
		printed += len(book.GetPages())
		if book.GetSnapshot() != nil {
			printed++
		}
	}
	return p.err
}

func nothingThere(query *pb.Query) string {
	aggregate := query.GetDomain() + " " + rootText(query.GetRoot())
	if query.GetLowerBound() != 0 || query.GetUpperBound() != 0 {
		return aggregate + " has no events with these numbers"
	}
	if query.GetAsOfTime() != nil {
		return aggregate + " had no events then"
	}
	return aggregate + " has no events: nothing was ever written to this root"
}
