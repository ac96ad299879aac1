package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const bookHelp = `Print an aggregate's open book, as business logic gets it with a command: the
latest snapshot and the pages after it.

With --as-of it is the book as it was. Kafka keeps the latest snapshot only, so
that a book from before it is all of the pages that there were.`

const bookExample = `  angzarr book inventory 550e8400-e29b-41d4-a716-446655440000
  angzarr book inventory 550e8400-e29b-41d4-a716-446655440000 --as-of 17`

func newBookCommand() *cobra.Command {
	c := &client{}
	var moment string
	cmd := &cobra.Command{
		Use:     "book DOMAIN ROOT",
		Short:   "Print an aggregate's open book: snapshot and pages",
		Long:    bookHelp,
		Example: bookExample,
		Args:    wants("DOMAIN", "ROOT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, err := parseRoot(args[1])
			if err != nil {
				return err
			}
			query := &pb.Query{Domain: args[0], Root: root, OpenBook: true}
			if err := asOf(query, moment); err != nil {
				return err
			}
			return c.events(cmd, query)
		},
	}
	c.addFlags(cmd)
	addAsOf(cmd, &moment)
	return cmd
}

func addAsOf(cmd *cobra.Command, moment *string) {
	cmd.Flags().StringVar(moment, "as-of", "", "the book as it was: the number of its last page then, or a time (RFC 3339)")
}

// asOf puts a moment into a query: a page's number, or a time.
func asOf(query *pb.Query, moment string) error {
	if moment == "" {
		return nil
	}
	if n, err := strconv.ParseUint(moment, 10, 32); err == nil && n > 0 {
		query.AsOfSequence = uint32(n)
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		return usageError{fmt.Errorf("--as-of %s: want a page's number, such as 17, or a time, such as 2026-01-31T12:00:00Z", moment)}
	}
	query.AsOfTime = timestamppb.New(at)
	return nil
}
