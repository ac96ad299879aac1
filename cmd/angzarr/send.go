package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const sendHelp = `Send a command to an aggregate, and print the pages it led to.

ROOT is the aggregate's UUID, or "new" for one that is made here. TYPE is the full
name of the command's message, JSON the message in protobuf's JSON mapping ("-"
reads it from standard input). Types are learned from the business logic's gRPC
reflection, through the front door, or from --descriptor-set.

With --sync the answer waits until the synchronous projectors and sagas have done
with the pages, and with what these led to in turn, and all of that is printed.

A refusal is printed to standard error with its code, message and details; the
exit status is 1. Every command has an id, made here unless --id gives one:
sending it again with the same id is safe, what was applied is not applied twice.

--topic writes the command to its topic instead of calling, as any Kafka client may,
and waits for its outcome there.

--file sends many, a JSON object on each line, a root's one after another:
  {"root": "550e8400-…", "type": "inventory.AdjustStock", "command": {"delta": 5}}
and, where they are wanted, "id", "expect" and "correlation_id". All lines are
checked before the first is sent. An id that is not given is made of the file's
content and the line, so that the same file can be sent again after it was broken
off: what was applied is not applied twice, for as long as ids are remembered.`

const sendExample = `  angzarr send inventory new inventory.CreateProduct '{"sku": "A-1", "name": "Lamp", "quantity": 5}'
  angzarr send inventory 550e8400-e29b-41d4-a716-446655440000 inventory.AdjustStock '{"delta": -2}' --expect 2
  angzarr send inventory new inventory.CreateProduct - < product.json
  angzarr send order new order.PlaceOrder '{"lines": [{"product_id": "550e8400-e29b-41d4-a716-446655440000", "quantity": 2}]}' --sync
  angzarr send inventory new inventory.CreateProduct '{"sku": "A-2"}' --topic --proto inventory.proto
  angzarr send inventory --file deliveries.jsonl`

// sending is one run of send.
type sending struct {
	client
	domain, typeName string
	root             *pb.UUID
	expect           uint32
	id, correlation  string
	timeout          time.Duration
	sync             bool

	topic bool
	kafka clusterFlags // with topic
	many  sendingMany  // with --file
}

func newSendCommand() *cobra.Command {
	s := &sending{}
	cmd := &cobra.Command{
		Use:     "send DOMAIN ROOT TYPE JSON",
		Short:   "Send a command to an aggregate and print the pages it led to",
		Long:    sendHelp,
		Example: sendExample,
		Args: func(cmd *cobra.Command, args []string) error {
			if s.many.file != "" {
				return wants("DOMAIN")(cmd, args)
			}
			return wants("DOMAIN", "ROOT", "TYPE", "JSON")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.many.file != "" {
				return s.sendMany(cmd, args[0])
			}
			return s.run(cmd, args)
		},
	}
	s.addFlags(cmd)
	s.addTopicFlags(cmd)
	s.addManyFlags(cmd)
	flags := cmd.Flags()
	flags.Uint32Var(&s.expect, "expect", 0, "number that the first new page must get; 0 takes any")
	flags.StringVar(&s.id, "id", "", "the command's id; a repeat with the same id is safe")
	flags.StringVar(&s.correlation, "correlation-id", "", "ties together what one cause led to (default the command's id)")
	flags.BoolVar(&s.sync, "sync", false, "wait for what the pages lead to, by synchronous projectors and sagas")
	flags.DurationVar(&s.timeout, "timeout", 10*time.Second, "how long to wait for the answer")
	cmd.MarkFlagsMutuallyExclusive("sync", "topic") // who writes to the topic hears of an outcome alone
	cmd.MarkFlagsMutuallyExclusive("sync", "file")
	return cmd
}

func (s *sending) run(cmd *cobra.Command, args []string) (err error) {
	s.domain, s.typeName = args[0], args[2]
	if args[1] == "new" {
		s.root, err = newRoot()
	} else if s.root, err = parseRoot(args[1]); err != nil {
		err = fmt.Errorf("%w, or new", err)
	}
	if err != nil {
		return err
	}
	text := []byte(args[3])
	if args[3] == "-" {
		if text, err = io.ReadAll(cmd.InOrStdin()); err != nil {
			return fmt.Errorf("read the command: %w", err)
		}
	}
	if s.id == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make an id: %w", err)
		}
		s.id = id.String()
	}

	ctx, cancel := context.WithTimeout(cmd.Context(), s.timeout)
	defer cancel()
	if s.topic {
		return s.byTopic(ctx, cmd, text)
	}
	door, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer door.close()
	command, err := door.types.Encode(ctx, s.typeName, text)
	if err != nil {
		return usageError{err}
	}
	answer, err := pb.NewBusinessCoordinatorClient(door.conn).Handle(ctx, s.book(command))
	p := printer{ctx: cmd.Context(), out: cmd.OutOrStdout(), types: door.types}
	if err != nil {
		p.out = cmd.ErrOrStderr()
		return s.refused(p, status.Convert(err))
	}
	if s.output == outputJSON {
		return p.jsonAnswer(s, answer)
	}
	return p.textAnswer(answer)
}

func (s *sending) book(command *anypb.Any) *pb.CommandBook {
	return &pb.CommandBook{
		Cover:         &pb.Cover{Domain: s.domain, Root: s.root},
		Pages:         []*pb.CommandPage{{Sequence: s.expect, Command: command, Synchronous: s.sync}},
		CommandId:     s.id,
		CorrelationId: s.correlation,
	}
}

// refused prints why there are no pages.
func (s *sending) refused(p printer, why *status.Status) error {
	p.refusal(why)
	if committed(why) {
		return errors.Join(errReported, p.err)
	}
	switch why.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		p.printf("It is not known whether the command was applied. To find out and to apply it if not,\nsend it again to the same root with the same id:\n  angzarr send %s %s %s … --id %s\n",
			s.domain, rootText(s.root), s.typeName, s.id)
	}
	return errors.Join(reported(why), p.err)
}
