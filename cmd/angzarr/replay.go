package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/code"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const replayHelp = `Have dead letters handled again: those that are named, or those of a domain, all or
a selection. A root's go in the order in which they came, under their first ids, so
that what was applied meanwhile is not applied again.

A letter of a projector or a saga goes back to it, and it is called for that event
once more, behind what waits of the aggregate.

A letter whose command was applied, or refused in order, is done with. One that
fails again stays, with one attempt more. The exit status is 1 if any did, or was
not answered.`

const replayExample = `  angzarr dead-letters replay angzarr.inventory.commands/3/141
  angzarr dead-letters replay inventory --cause INTERNAL --rate 50`

func newLettersReplayCommand() *cobra.Command {
	c, s := &client{}, &selecting{}
	var rate float64
	cmd := &cobra.Command{
		Use:     "replay DOMAIN | LETTER...",
		Short:   "Have dead letters handled again",
		Long:    replayHelp,
		Example: replayExample,
		RunE: func(cmd *cobra.Command, args []string) error {
			sel, err := s.selection(time.Now())
			if err != nil {
				return err
			}
			if err := naming(sel, args); err != nil {
				return err
			}
			if rate <= 0 {
				return usageError{fmt.Errorf("--rate %v: want more than 0 letters a second", rate)}
			}
			return c.replay(cmd, &pb.ReplayDeadLettersRequest{Selection: sel, PerSecond: rate})
		},
	}
	c.addFlags(cmd)
	s.addFlags(cmd)
	cmd.Flags().Float64Var(&rate, "rate", 10, "how many are begun in a second at the most")
	return cmd
}

// naming takes a domain, or letters of one.
func naming(sel *pb.DeadLetterSelection, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("missing: DOMAIN or LETTER")}
	}
	if len(args) == 1 && !strings.Contains(args[0], "/") {
		sel.Domain = args[0]
		return nil
	}
	for _, id := range args {
		domain, err := domainOf(id)
		if err != nil {
			return err
		}
		if sel.Domain != "" && sel.Domain != domain {
			return usageError{fmt.Errorf("letters of one domain are replayed at a time: these are of %s and %s", sel.Domain, domain)}
		}
		sel.Domain = domain
	}
	sel.Ids = args
	return nil
}

// replayedJSON is what became of a letter, for programs. These names are a promise.
type replayedJSON struct {
	Letter    string `json:"letter"`
	CommandID string `json:"command_id,omitempty"`
	Result    string `json:"result"`         // applied, refused, failed, unknown, left
	Code      string `json:"code,omitempty"` // of one that was refused, or failed
	Message   string `json:"message,omitempty"`
	FirstPage uint32 `json:"first_page,omitempty"`
	LastPage  uint32 `json:"last_page,omitempty"`

	reader string // whose letter it is, "" for a command's
}

func resultOf(r *pb.ReplayedDeadLetter) replayedJSON {
	o := r.Outcome
	j := replayedJSON{
		Letter: r.GetLetter().GetId(), CommandID: r.GetLetter().GetCommandId(), Result: "applied",
		reader: r.GetLetter().GetReader(), Message: o.GetMessage(), FirstPage: o.GetFirstPage(), LastPage: o.GetLastPage(),
	}
	switch {
	case r.NotReplayed != "":
		j.Result, j.Message = "left", r.NotReplayed
	case o == nil:
		j.Result, j.Message = "unknown", "it is not answered yet; list tells later whether it is done with"
	case o.DeadLetter:
		j.Result, j.Code = "failed", code.Code(o.Code).String()
	case o.Code != 0:
		j.Result, j.Code = "refused", code.Code(o.Code).String()
	}
	return j
}

// text is a result for people.
func (j replayedJSON) text() string {
	switch {
	case j.Result == "applied" && j.reader != "":
		return j.reader + " is done with it"
	case j.Result == "applied" && j.LastPage == 0:
		return "it led to no events"
	case j.Result == "applied":
		return fmt.Sprintf("pages %d to %d", j.FirstPage, j.LastPage)
	case j.Code != "":
		return j.Code + ": " + oneLine(j.Message)
	}
	return oneLine(j.Message)
}

func (c *client) replay(cmd *cobra.Command, r *pb.ReplayDeadLettersRequest) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	door, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer door.close()
	stream, err := pb.NewDeadLettersClient(door.conn).Replay(ctx, r)
	if err != nil {
		return fmt.Errorf("replay dead letters: %w", err)
	}
	p := printer{ctx: ctx, out: cmd.OutOrStdout(), types: door.types}
	all, bad := 0, 0
	for p.err == nil {
		replayed, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return p.failed(cmd, err)
		}
		result := resultOf(replayed)
		all++
		if result.Result != "applied" && result.Result != "refused" {
			bad++
		}
		if c.output == outputJSON {
			p.json(result)
		} else {
			p.printf("%-8s %s  %s\n", result.Result, printable(result.Letter), result.text())
		}
	}
	return c.replayed(cmd, p, all, bad)
}

// replayed says what came of it in the end.
func (c *client) replayed(cmd *cobra.Command, p printer, all, bad int) error {
	complain := printer{out: cmd.ErrOrStderr()}
	switch {
	case all == 0:
		complain.printf("no dead letter is what was asked for\n")
	case bad > 0:
		complain.printf("%d of %d dead letters are not done with\n", bad, all)
		return errors.Join(errReported, p.err)
	}
	return p.err
}
