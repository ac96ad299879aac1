package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

const eraseHelp = `Erase an aggregate for good: the right to be forgotten. This can't be undone.

Its pages, its snapshot and its dead letters can't be read any more when this
returns; it answers ERASED from then on, and its root is never used again. Erasing
it again is safe, and finishes what was broken off. The reason stays in the log: it
must not name who is forgotten.

On the brokers' disks the bytes stay until compaction has taken them. --verify
erases nothing: it says "gone", or what is still there and until when at the
latest; the exit status is 1 then. The front door answers from its own host only.`

const eraseExample = `  angzarr erase inventory 550e8400-e29b-41d4-a716-446655440000 --reason 'request 4711'
  angzarr erase inventory 550e8400-e29b-41d4-a716-446655440000 --verify`

// erasing is one run of erase.
type erasing struct {
	client
	reason  string
	verify  bool
	timeout time.Duration
}

func newEraseCommand() *cobra.Command {
	e := &erasing{}
	cmd := &cobra.Command{
		Use:     "erase DOMAIN ROOT",
		Short:   "Erase an aggregate for good, or say what is left of one",
		Long:    eraseHelp,
		Example: eraseExample,
		Args:    wants("DOMAIN", "ROOT"),
		RunE:    func(cmd *cobra.Command, args []string) error { return e.run(cmd, args) },
	}
	e.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&e.reason, "reason", "", "why, for the log")
	flags.BoolVar(&e.verify, "verify", false, "erase nothing, and say what is left")
	flags.DurationVar(&e.timeout, "timeout", time.Minute, "how long to wait for the answer")
	return cmd
}

func (e *erasing) run(cmd *cobra.Command, args []string) error {
	root, err := parseRoot(args[1])
	if err != nil {
		return err
	}
	if e.verify && e.reason != "" {
		return usageError{errors.New("--verify erases nothing, so it goes without --reason")}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make an id: %w", err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), e.timeout)
	defer cancel()
	door, err := e.open(ctx)
	if err != nil {
		return err
	}
	defer door.close()
	cover := &pb.Cover{Domain: args[0], Root: root}
	p := printer{ctx: ctx, out: cmd.OutOrStdout(), types: door.types}
	service := pb.NewErasureClient(door.conn)
	if e.verify {
		left, err := service.Verify(ctx, &pb.VerifyErasureRequest{Cover: cover})
		if err != nil {
			return p.failed(cmd, err)
		}
		return e.left(p, cover, left)
	}
	answer, err := service.Erase(ctx, &pb.EraseRequest{Cover: cover, Reason: e.reason, CommandId: id.String()})
	if err != nil {
		return e.refused(p, cmd, status.Convert(err))
	}
	if e.output == outputJSON {
		p.json(erasedOf(cover, answer.Erased))
	} else {
		p.printf("erased %s\n", wasErased(cover, answer.Erased))
	}
	return p.err
}

func (e *erasing) refused(p printer, cmd *cobra.Command, why *status.Status) error {
	p.out = cmd.ErrOrStderr()
	p.refusal(why)
	switch why.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		p.printf("It is not known whether it was erased, or to the end. To erase it again is safe.\n")
	}
	return errors.Join(reported(why), p.err)
}

func wasErased(cover *pb.Cover, e *pb.Erased) string {
	text := fmt.Sprintf("%s %s: pages 1 to %d, at %s", printable(cover.Domain), rootText(cover.Root), e.GetLastSequence(), timeText(e.GetErasedAt()))
	if e.GetReason() != "" {
		text += ", " + oneLine(e.GetReason())
	}
	return text
}

// erasedJSON is an erasure for programs. These names are a promise.
type erasedJSON struct {
	Domain       string        `json:"domain"`
	Root         string        `json:"root"`
	Erased       bool          `json:"erased"`
	LastSequence uint32        `json:"last_sequence,omitempty"`
	Time         *time.Time    `json:"time,omitempty"`
	Reason       string        `json:"reason,omitempty"`
	Gone         *bool         `json:"gone,omitempty"` // of --verify
	Remains      []remainsJSON `json:"remains,omitempty"`
}

type remainsJSON struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	What      string     `json:"what"`
	Records   uint64     `json:"records"`
	GoneBy    *time.Time `json:"gone_by,omitempty"`
	Condition string     `json:"condition,omitempty"`
}

func erasedOf(cover *pb.Cover, e *pb.Erased) erasedJSON {
	j := erasedJSON{Domain: cover.Domain, Root: rootText(cover.Root)}
	if e != nil {
		at := e.ErasedAt.AsTime()
		j.Erased, j.LastSequence, j.Time, j.Reason = true, e.LastSequence, &at, e.Reason
	}
	return j
}

// left says what is left of an aggregate.
func (e *erasing) left(p printer, cover *pb.Cover, left *pb.VerifyErasureResponse) error {
	gone := left.Erased != nil && len(left.Remains) == 0
	if e.output == outputJSON {
		p.json(leftOf(cover, left, gone))
	} else {
		p.textLeft(cover, left, gone)
	}
	if !gone {
		return errors.Join(errReported, p.err)
	}
	return p.err
}

func leftOf(cover *pb.Cover, left *pb.VerifyErasureResponse, gone bool) erasedJSON {
	j := erasedOf(cover, left.Erased)
	j.Gone = &gone
	for _, r := range left.Remains {
		remains := remainsJSON{Topic: r.Topic, Partition: r.Partition, What: r.What, Records: r.Records, Condition: r.Condition}
		if r.GoneBy != nil {
			at := r.GoneBy.AsTime()
			remains.GoneBy = &at
		}
		j.Remains = append(j.Remains, remains)
	}
	return j
}

func (p *printer) textLeft(cover *pb.Cover, left *pb.VerifyErasureResponse, gone bool) {
	switch {
	case gone:
		p.printf("gone\n")
		return
	case left.Erased == nil:
		p.printf("not erased: %s %s\n", printable(cover.Domain), rootText(cover.Root))
	default:
		p.printf("erased %s; on disks there is still:\n", wasErased(cover, left.Erased))
	}
	for _, r := range left.Remains {
		p.printf("  %s/%d: %d %s", printable(r.Topic), r.Partition, r.Records, printable(r.What))
		if r.GoneBy != nil {
			p.printf(", gone by %s", timeText(r.GoneBy))
		}
		if r.Condition != "" {
			p.printf("; %s", printable(r.Condition))
		}
		p.printf("\n")
	}
}
