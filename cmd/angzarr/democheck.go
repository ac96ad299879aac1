package main

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// check reads back what the story has left, from the log itself and through the
// front door, shows it, and compares it with what the story says.
func (s *stage) check() error {
	logged, err := s.readLog()
	if err != nil {
		return err
	}
	s.printf("\nWhat they led to, as EventQuery tells it:\n")
	pages := 0
	for _, p := range s.products {
		queried, err := s.query(p.root)
		if err != nil {
			return err
		}
		s.printf("  %s  %s\n", p.sku, p.root)
		s.textPages(&pb.EventBook{Pages: queried}, "  ")
		if err := compare(p.book, logged[p.root]); err != nil {
			return fmt.Errorf("the log is wrong: %s %s: %w", p.sku, p.root, err)
		}
		if err := compare(p.book, queried); err != nil {
			return fmt.Errorf("EventQuery is wrong: %s %s: %w", p.sku, p.root, err)
		}
		pages += len(p.book)
	}
	s.printf("\nChecked: %s holds exactly these %d pages (read_committed), and EventQuery tells the same.\n",
		log.EventsTopic(demoDomain), pages)
	return s.err
}

// readLog reads all that committed transactions have left of the story's roots,
// in the order in which it stands in the log.
func (s *stage) readLog() (map[log.Root][]*pb.EventPage, error) {
	topic := log.EventsTopic(demoDomain)
	ends, err := s.admin.HighWatermarks(s.ctx, topic)
	if err != nil {
		return nil, err
	}
	found := make(map[log.Root][]*pb.EventPage)
	spans := make(map[int32]log.Span)
	for _, p := range s.products {
		partition := partitioning.Of(p.root, s.partitions)
		spans[partition] = log.Span{To: ends[partition]}
		found[p.root] = nil
	}
	err = s.cluster.Scan(s.ctx, topic, spans, func(r *log.Record) error {
		root, _, kind := log.ParseKey(r.Key)
		if _, ours := found[root]; !ours {
			return nil
		}
		if kind != log.KeyPage || r.Value == nil {
			return fmt.Errorf("the log is wrong: %s/%d: offset %d is of root %s, and no page", topic, r.Partition, r.Offset, root)
		}
		page, err := log.DecodePage(r)
		if err != nil {
			return fmt.Errorf("the log is wrong: %s/%d: offset %d: %w", topic, r.Partition, r.Offset, err)
		}
		found[root] = append(found[root], page.Proto())
		return nil
	})
	return found, err
}

// query reads a root's pages as a client of the front door does.
func (s *stage) query(root log.Root) ([]*pb.EventPage, error) {
	stream, err := pb.NewEventQueryClient(s.door.conn).GetEvents(s.ctx, &pb.Query{Domain: demoDomain, Root: &pb.UUID{Value: root[:]}})
	if err != nil {
		return nil, fmt.Errorf("ask for events: %w", err)
	}
	var pages []*pb.EventPage
	for {
		book, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return pages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("ask for events: %w", err)
		}
		pages = append(pages, book.GetPages()...)
	}
}

// compare says how pages differ from the events that must be there, numbered
// from 1.
func compare(want []proto.Message, got []*pb.EventPage) error {
	for i, page := range got {
		event, err := page.GetEvent().UnmarshalNew()
		switch {
		case err != nil:
			return fmt.Errorf("page %d can't be read: %w", page.GetNum(), err)
		case page.GetNum() != uint32(i)+1:
			return fmt.Errorf("page %d stands where page %d must be", page.GetNum(), i+1)
		case i >= len(want):
			return fmt.Errorf("page %d, %s, must not be there", page.GetNum(), proto.MessageName(event))
		case !proto.Equal(event, want[i]):
			return fmt.Errorf("page %d is {%v}, and must be {%v}", page.GetNum(), event, want[i])
		}
	}
	if len(got) < len(want) {
		return fmt.Errorf("page %d is missing", len(got)+1)
	}
	return nil
}
