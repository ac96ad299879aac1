package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// stage is where the demo plays: a front door, and the Kafka behind it. It uses
// both as any client would.
type stage struct {
	printer
	cluster    log.Cluster
	door       *frontDoor
	admin      *log.Admin
	writer     *log.Writer
	partitions map[string]int32 // of each domain
	products   []*aggregate
	orders     []*aggregate
	calls      []step
	records    []step
	placed     []step
	emitted    map[string]string // ids of commands that nobody but the saga and a rejection led to; their domains
}

func openStage(ctx context.Context, cluster log.Cluster, server string, out io.Writer) (_ *stage, err error) {
	s := &stage{cluster: cluster}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, named := range []struct {
		domain, name string
		to           *[]*aggregate
	}{
		{stockDomain, "LAMP", &s.products}, {stockDomain, "CHAIR", &s.products}, {stockDomain, "TABLE", &s.products},
		{orderDomain, "lamps", &s.orders}, {orderDomain, "chairs", &s.orders},
	} {
		root, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make a root: %w", err)
		}
		*named.to = append(*named.to, &aggregate{domain: named.domain, name: named.name, root: log.Root(root)})
	}
	lamp, chair, table, had, short := s.products[0], s.products[1], s.products[2], s.orders[0], s.orders[1]
	s.calls, s.records = story(lamp, chair, table)
	s.placed = orders(had, short, lamp, chair)
	s.emitted = emissions(had, short, lamp)
	summaries(lamp, chair, table)
	if s.door, err = (&client{server: server}).open(ctx); err != nil {
		return nil, err
	}
	s.printer = printer{ctx: ctx, out: out, types: s.door.types}
	if s.admin, err = cluster.NewAdmin("angzarr-demo"); err != nil {
		return nil, err
	}
	if s.writer, err = cluster.NewWriter("angzarr-demo"); err != nil {
		return nil, err
	}
	s.partitions, err = s.admin.Domains(ctx)
	return s, err
}

func (s *stage) close() {
	if s.door != nil {
		s.door.close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
	if s.writer != nil {
		s.writer.Close()
	}
}

// play sends the story's commands, and shows what each led to.
func (s *stage) play() error {
	s.printf("\nCommands by gRPC, to BusinessCoordinator.Handle:\n")
	for _, step := range s.calls {
		if err := s.call(step); err != nil {
			return err
		}
	}
	s.printf("\nCommands as records, which a Kafka client writes to %s;\nwhat became of them stands in %s:\n",
		log.CommandsTopic(stockDomain), log.OutcomesTopic(stockDomain))
	if err := s.produce(); err != nil {
		return err
	}
	s.printf("\nOrders, which the saga %s has the inventory reserve:\n", demoSaga)
	for _, step := range s.placed {
		if err := s.call(step); err != nil {
			return err
		}
	}
	return s.err
}

// call sends a command to the front door.
func (s *stage) call(step step) error {
	command, err := commandBook(step)
	if err != nil {
		return err
	}
	s.show(step, command)
	answer, err := pb.NewBusinessCoordinatorClient(s.door.conn).Handle(s.ctx, command)
	if got := status.Code(err); got != step.refused {
		return unexpected(step, err)
	}
	if err != nil {
		s.printf("        refused: ")
		s.refusal(status.Convert(err))
		return nil
	}
	for _, book := range answer.GetBooks() {
		s.textPages(book, "    ")
	}
	return nil
}

// produce writes all records at once, and then waits for their outcomes.
func (s *stage) produce() error {
	from, err := s.admin.HighWatermarks(s.ctx, log.OutcomesTopic(stockDomain))
	if err != nil {
		return err
	}
	commands := make([]*pb.CommandBook, len(s.records))
	for i, step := range s.records {
		if commands[i], err = commandBook(step); err != nil {
			return err
		}
		value, err := proto.Marshal(commands[i])
		if err != nil {
			return fmt.Errorf("encode a command: %w", err)
		}
		if err := s.writer.Write(s.ctx, &log.Record{
			Topic:     log.CommandsTopic(stockDomain),
			Partition: partitioning.Of(step.of.root, s.partitions[stockDomain]),
			Key:       step.of.root[:], Value: value,
		}); err != nil {
			return err
		}
	}
	outcomes, err := s.outcomes(from, commands)
	if err != nil {
		return err
	}
	for i, step := range s.records {
		s.show(step, commands[i])
		outcome := outcomes[commands[i].CommandId]
		if outcome.GetCode() != int32(step.refused) {
			return unexpected(step, status.Error(codes.Code(outcome.GetCode()), outcome.GetMessage()))
		}
		if step.refused != codes.OK {
			s.printf("        refused: ")
			s.refusal(status.New(step.refused, outcome.GetMessage()))
			continue
		}
		s.printf("        OK: page %d\n", outcome.GetFirstPage())
	}
	return nil
}

// outcomes waits until all commands have one.
func (s *stage) outcomes(from map[int32]int64, commands []*pb.CommandBook) (map[string]*pb.Outcome, error) {
	missing := make(map[string]bool)
	for _, c := range commands {
		missing[c.CommandId] = true
	}
	found := make(map[string]*pb.Outcome)
	topic := log.OutcomesTopic(stockDomain)
	for len(missing) > 0 {
		ends, err := s.admin.HighWatermarks(s.ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("wait for the outcomes of %d commands: %w", len(missing), err)
		}
		spans := make(map[int32]log.Span)
		for partition, end := range ends {
			spans[partition] = log.Span{From: from[partition], To: end}
		}
		err = s.cluster.Scan(s.ctx, topic, spans, func(r *log.Record) error {
			outcome := &pb.Outcome{}
			if err := proto.Unmarshal(r.Value, outcome); err != nil {
				return fmt.Errorf("%s/%d: offset %d is no outcome: %w", topic, r.Partition, r.Offset, err)
			}
			if missing[outcome.CommandId] {
				found[outcome.CommandId] = outcome
				delete(missing, outcome.CommandId)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		from = ends
		if len(missing) == 0 {
			break
		}
		select {
		case <-s.ctx.Done():
			return nil, fmt.Errorf("%d of %d commands have no outcome: %w", len(missing), len(commands), s.ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return found, nil
}

func (s *stage) show(step step, book *pb.CommandBook) {
	s.printf("  %-6s  %s\n", step.of.name, s.payload(book.Pages[0].Command))
}

func commandBook(step step) (*pb.CommandBook, error) {
	command, err := anypb.New(step.command)
	if err != nil {
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("make an id: %w", err)
	}
	return &pb.CommandBook{
		Cover:     &pb.Cover{Domain: step.of.domain, Root: &pb.UUID{Value: step.of.root[:]}},
		Pages:     []*pb.CommandPage{{Command: command}},
		CommandId: id.String(),
	}, nil
}

func unexpected(step step, err error) error {
	got := "it was accepted"
	if err != nil {
		got = err.Error()
	}
	return errors.New("the demo went wrong: " + step.of.name + ": " + string(proto.MessageName(step.command)) + ": " + got)
}
