package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const rootsHelp = `Print every aggregate that has events, of one domain or of all, one a line:
domain and root. They are read from the log, so they come as fast as it can be
read, in no order that means anything.`

const rootsExample = `  angzarr roots
  angzarr roots inventory | wc -l
  angzarr roots inventory -o json | jq -r .root`

func newRootsCommand() *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use:     "roots [DOMAIN]",
		Short:   "Print every aggregate that has events",
		Long:    rootsHelp,
		Example: rootsExample,
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.roots(cmd, args) },
	}
	c.addFlags(cmd)
	return cmd
}

type rootJSON struct {
	Domain string `json:"domain"`
	Root   string `json:"root"`
}

func (c *client) roots(cmd *cobra.Command, domains []string) error {
	ctx := cmd.Context()
	for _, domain := range domains {
		ctx = metadata.AppendToOutgoingContext(ctx, "angzarr-domain", domain)
	}
	door, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer door.close()
	stream, err := pb.NewEventQueryClient(door.conn).GetAggregateRoots(ctx, &emptypb.Empty{})
	if err != nil {
		return fmt.Errorf("ask for roots: %w", err)
	}
	p := printer{ctx: ctx, out: cmd.OutOrStdout(), types: door.types}
	for p.err == nil {
		root, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return p.err
		case err != nil:
			return p.failed(cmd, err)
		case c.output == outputJSON:
			p.json(rootJSON{root.GetDomain(), rootText(root.GetRoot())})
		default:
			p.printf("%s %s\n", printable(root.GetDomain()), rootText(root.GetRoot()))
		}
	}
	return p.err
}
