package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/angzarr/angzarr-kafka/log"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const deadLettersHelp = `Deal with dead letters: commands that could not be done, because they can't be
read, or business logic broke on them. They stand in their domain's dead-letters
topic until somebody is done with them.

The front door answers these commands from its own host only.`

func newDeadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead-letters",
		Short: "List, show, replay and drop what could not be done",
		Long:  deadLettersHelp,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("missing: list, show, replay or drop")}
		},
	}
	cmd.AddCommand(newLettersListCommand(), newLettersShowCommand(), newLettersReplayCommand(), newLettersDropCommand())
	return cmd
}

// selecting says which letters are asked for.
type selecting struct{ root, cause, from, to string }

func (s *selecting) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.root, "root", "", "only those of this aggregate")
	flags.StringVar(&s.cause, "cause", "", "only those with this status code, such as INTERNAL")
	flags.StringVar(&s.from, "from", "", "only those tried last at this time or later (RFC 3339, or an age such as 2h)")
	flags.StringVar(&s.to, "to", "", "only those tried last before this time (the same)")
}

// selection reads the flags.
func (s *selecting) selection(now time.Time) (*pb.DeadLetterSelection, error) {
	sel := &pb.DeadLetterSelection{Cause: strings.ToUpper(s.cause)}
	var err error
	if s.root != "" {
		if sel.Root, err = parseRoot(s.root); err != nil {
			return nil, err
		}
	}
	if sel.From, err = moment("--from", s.from, now); err != nil {
		return nil, err
	}
	if sel.To, err = moment("--to", s.to, now); err != nil {
		return nil, err
	}
	return sel, nil
}

// moment reads a time, or how long ago it was.
func moment(flag, text string, now time.Time) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		return timestamppb.New(now.Add(-age)), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s %s: want a time, such as 2026-01-31T12:00:00Z, or an age, such as 2h", flag, text)}
	}
	return timestamppb.New(at), nil
}

// domainOf is the domain that a letter's id speaks of.
func domainOf(id string) (string, error) {
	parsed, err := log.ParseLetterID(id)
	if err != nil {
		return "", usageError{err}
	}
	domain, ok := strings.CutPrefix(parsed.Source.Topic, "angzarr.")
	at := strings.LastIndexByte(domain, '.')
	if !ok || at <= 0 {
		return "", usageError{fmt.Errorf("%q names no dead letter: %s is no topic of a domain", id, parsed.Source.Topic)}
	}
	return domain[:at], nil
}

const lettersListExample = `  angzarr dead-letters list
  angzarr dead-letters list inventory --cause INTERNAL --from 24h
  angzarr dead-letters list inventory --dropped -o json`

func newLettersListCommand() *cobra.Command {
	c, s := &client{}, &selecting{}
	var dropped bool
	cmd := &cobra.Command{
		Use:     "list [DOMAIN]",
		Short:   "Print dead letters, the oldest first",
		Example: lettersListExample,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sel, err := s.selection(time.Now())
			if err != nil {
				return err
			}
			if len(args) > 0 {
				sel.Domain = args[0]
			}
			return c.listLetters(cmd, &pb.ListDeadLettersRequest{Selection: sel, Dropped: dropped})
		},
	}
	c.addFlags(cmd)
	s.addFlags(cmd)
	cmd.Flags().BoolVar(&dropped, "dropped", false, "those that were given up, and why, for as long as the topic tells")
	return cmd
}

func (c *client) listLetters(cmd *cobra.Command, r *pb.ListDeadLettersRequest) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	door, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer door.close()
	stream, err := pb.NewDeadLettersClient(door.conn).List(ctx, r)
	if err != nil {
		return fmt.Errorf("ask for dead letters: %w", err)
	}
	p := printer{ctx: ctx, out: cmd.OutOrStdout(), types: door.types}
	table := letterTable{printer: &p}
	for p.err == nil {
		letter, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return p.err
		case err != nil:
			return p.failed(cmd, err)
		case c.output == outputJSON:
			p.json(letterOf(letter))
		default:
			table.row(letter)
		}
	}
	return p.err
}

// failed prints why a call came to nothing.
func (p *printer) failed(cmd *cobra.Command, err error) error {
	p.out = cmd.ErrOrStderr()
	why := status.Convert(err)
	p.refusal(why)
	return errors.Join(reported(why), p.err)
}

func newLettersShowCommand() *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use:     "show LETTER",
		Short:   "Print a dead letter with all that its record holds",
		Example: "  angzarr dead-letters show angzarr.inventory.commands/3/141",
		Args:    wants("LETTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			domain, err := domainOf(args[0])
			if err != nil {
				return err
			}
			door, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer door.close()
			letter, err := pb.NewDeadLettersClient(door.conn).Get(cmd.Context(), &pb.GetDeadLetterRequest{Domain: domain, Id: args[0]})
			p := printer{ctx: cmd.Context(), out: cmd.OutOrStdout(), types: door.types}
			switch {
			case err != nil:
				return p.failed(cmd, err)
			case c.output == outputJSON:
				p.json(p.wholeLetter(letter))
			default:
				p.textLetter(letter)
			}
			return p.err
		},
	}
	c.addFlags(cmd)
	return cmd
}

const lettersDropHelp = `Give a dead letter up. Why can be read with list --dropped for as long as the
topic keeps tombstones, and stands in the log of the front door's process.`

func newLettersDropCommand() *cobra.Command {
	c := &client{}
	var reason string
	cmd := &cobra.Command{
		Use:     "drop LETTER --reason TEXT",
		Short:   "Give a dead letter up",
		Long:    lettersDropHelp,
		Example: "  angzarr dead-letters drop angzarr.inventory.commands/3/141 --reason 'sent by a test'",
		Args:    wants("LETTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			domain, err := domainOf(args[0])
			if err != nil {
				return err
			}
			if reason == "" {
				return usageError{errors.New("--reason is missing: it is kept, so that others know")}
			}
			door, err := c.open(cmd.Context())
			if err != nil {
				return err
			}
			defer door.close()
			answer, err := pb.NewDeadLettersClient(door.conn).Drop(cmd.Context(), &pb.DropDeadLetterRequest{Domain: domain, Id: args[0], Reason: reason})
			p := printer{ctx: cmd.Context(), out: cmd.OutOrStdout(), types: door.types}
			switch {
			case err != nil:
				return p.failed(cmd, err)
			case c.output == outputJSON:
				p.json(letterOf(answer.Letter))
			default:
				p.printf("dropped %s\n", printable(answer.Letter.GetId()))
			}
			return p.err
		},
	}
	c.addFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why it is given up")
	return cmd
}
