package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/schema"

	spb "google.golang.org/genproto/googleapis/rpc/status"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func (s *sending) addTopicFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&s.topic, "topic", false, "write it to the domain's commands topic instead of calling a front door")
	s.kafka.addReach(cmd)
}

// commandsTopic is where commands of a domain are written.
type commandsTopic struct {
	cluster    log.Cluster
	admin      *log.Admin
	writer     *log.Writer
	partitions int32
}

func (s *sending) openTopic(ctx context.Context, domain string) (*commandsTopic, error) {
	cluster, err := s.kafka.connect(ctx)
	if err != nil {
		return nil, err
	}
	t := &commandsTopic{cluster: cluster}
	if t.admin, err = cluster.NewAdmin("angzarr-send"); err != nil {
		return nil, err
	}
	domains, err := t.admin.Domains(ctx)
	if err == nil && domains[domain] == 0 {
		names := slices.Sorted(maps.Keys(domains))
		err = fmt.Errorf("there is no domain %s on this cluster; there are %s", domain, cmp.Or(strings.Join(names, ", "), "none"))
	}
	if err == nil {
		t.partitions = domains[domain]
		t.writer, err = cluster.NewWriter("angzarr-send")
	}
	if err != nil {
		t.admin.Close()
		return nil, err
	}
	return t, nil
}

func (t *commandsTopic) close() {
	t.writer.Close()
	t.admin.Close()
}

// typesWithout gives types without a front door that must be there: it is asked
// only for what the files don't have.
func (s *sending) typesWithout(ctx context.Context) (*schema.Types, func(), error) {
	given, err := s.types(ctx)
	if err != nil {
		return nil, nil, err
	}
	conn, err := grpc.NewClient(s.server, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--server %s: %w", s.server, err)}
	}
	return schema.Merge(given, schema.FromReflection(conn, "front door "+s.server), schema.Linked()), func() { conn.Close() }, nil
}

// byTopic writes the command and waits for its outcome.
func (s *sending) byTopic(ctx context.Context, cmd *cobra.Command, text []byte) error {
	types, closeTypes, err := s.typesWithout(ctx)
	if err != nil {
		return err
	}
	defer closeTypes()
	command, err := types.Encode(ctx, s.typeName, text)
	if err != nil {
		return usageError{err}
	}
	topic, err := s.openTopic(ctx, s.domain)
	if err != nil {
		return err
	}
	defer topic.close()
	outcomes := log.OutcomesTopic(s.domain)
	ends, err := topic.admin.StableOffsets(ctx, outcomes)
	if err != nil {
		return err
	}
	record := business.CommandRecord(s.book(command), topic.partitions, log.Cause{})
	if err := topic.writer.Write(ctx, &record); err != nil {
		return err
	}
	written := writtenJSON{
		CommandID: s.id, CorrelationID: cmp.Or(s.correlation, s.id), Root: rootText(s.root),
		Topic: record.Topic, Partition: record.Partition, Offset: record.Offset,
	}
	outcome, err := topic.await(ctx, outcomes, record.Partition, ends[record.Partition], s.id)
	p := printer{ctx: cmd.Context(), out: cmd.OutOrStdout(), types: types}
	if err != nil {
		complain := printer{out: cmd.ErrOrStderr()}
		complain.printf("The command %s stands in %s, and there is no outcome yet: %v\nIt will be handled once; what becomes of it will stand in %s.\n",
			s.id, record.Source(), err, outcomes)
		return errors.Join(unknownError{errReported}, complain.err)
	}
	return s.tellOutcome(cmd, p, written, outcome)
}

// await follows the outcomes until the command's is there.
func (t *commandsTopic) await(ctx context.Context, outcomes string, partition int32, from int64, id string) (found *pb.Outcome, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err = t.cluster.Tail(ctx, outcomes, map[int32]int64{partition: from}, func(s log.Stretch) {
		for _, r := range s.Records {
			o := &pb.Outcome{}
			if found == nil && proto.Unmarshal(r.Value, o) == nil && o.CommandId == id {
				found = o
				stop()
			}
		}
	})
	if found != nil {
		return found, nil
	}
	return nil, err
}

// writtenJSON is a command in its topic, for programs. These names are a promise.
type writtenJSON struct {
	CommandID     string `json:"command_id"`
	CorrelationID string `json:"correlation_id"`
	Root          string `json:"root"`
	Topic         string `json:"topic"`
	Partition     int32  `json:"partition"`
	Offset        int64  `json:"offset"`
	Code          string `json:"code"` // OK, or that of its refusal
	Message       string `json:"message,omitempty"`
	FirstPage     uint32 `json:"first_page,omitempty"`
	LastPage      uint32 `json:"last_page,omitempty"`
	DeadLetter    bool   `json:"dead_letter,omitempty"`
}

func (s *sending) tellOutcome(cmd *cobra.Command, p printer, written writtenJSON, o *pb.Outcome) error {
	why := status.FromProto(&spb.Status{Code: o.Code, Message: o.Message, Details: o.Details})
	written.Code, written.Message, written.DeadLetter = codeName(why.Code()), o.Message, o.DeadLetter
	written.FirstPage, written.LastPage = o.FirstPage, o.LastPage
	switch {
	case s.output == outputJSON:
		p.json(written)
	case why.Code() == codes.OK && o.LastPage == 0:
		p.printf("%s %s\naccepted; it led to no events\n", s.domain, written.Root)
	case why.Code() == codes.OK:
		p.printf("%s %s\n  pages %d to %d\n", s.domain, written.Root, o.FirstPage, o.LastPage)
	default:
		p.out = cmd.ErrOrStderr()
		p.refusal(why)
		if o.DeadLetter {
			p.printf("It is a dead letter now: angzarr dead-letters show %s/%d/%d\n", written.Topic, written.Partition, written.Offset)
		}
	}
	if why.Code() != codes.OK {
		return errors.Join(errReported, p.err)
	}
	return p.err
}
