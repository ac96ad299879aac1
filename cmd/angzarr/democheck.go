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
	if err := s.wait(); err != nil {
		return err
	}
	pages := 0
	for _, domain := range []struct {
		name string
		all  []*aggregate
	}{{stockDomain, s.products}, {orderDomain, s.orders}} {
		s.printf("\nWhat they led to, as EventQuery tells it of %s:\n", domain.name)
		logged, err := s.readLog(domain.name, domain.all)
		if err != nil {
			return err
		}
		for _, a := range domain.all {
			if err := s.checkBook(a, logged[a.root]); err != nil {
				return err
			}
			pages += len(a.book)
		}
	}
	if err := s.checkCommands(); err != nil {
		return err
	}
	s.printf("\nWhat is left, as %s publishes it:\n", demoProjector)
	if err := s.checkSummaries(); err != nil {
		return err
	}
	s.printf("\nChecked: %s and %s hold exactly these %d pages (read_committed), and EventQuery tells the same.\n",
		log.EventsTopic(stockDomain), log.EventsTopic(orderDomain), pages)
	s.printf("Checked: the saga's %d commands and the rejection of one of them are in their topics once, and %s holds exactly these summaries.\n",
		len(s.emitted)-1, log.ProjectionsTopic(demoProjector))
	return s.err
}

func (s *stage) checkBook(a *aggregate, logged []*pb.EventPage) error {
	queried, err := s.query(a)
	if err != nil {
		return err
	}
	s.printf("  %s  %s\n", a.name, a.root)
	s.textPages(&pb.EventBook{Pages: queried}, "  ")
	if err := compare(a.book, logged); err != nil {
		return fmt.Errorf("the log is wrong: %s %s: %w", a.name, a.root, err)
	}
	if err := compare(a.book, queried); err != nil {
		return fmt.Errorf("EventQuery is wrong: %s %s: %w", a.name, a.root, err)
	}
	return nil
}

// read reads all that committed transactions have left of the aggregates' in a
// topic, in the order in which it stands there.
func (s *stage) read(topic string, all []*aggregate, fn func(*log.Record) error) error {
	ends, err := s.admin.HighWatermarks(s.ctx, topic)
	if err != nil {
		return err
	}
	spans := make(map[int32]log.Span)
	for _, a := range all {
		partition := partitioning.Of(a.root, int32(len(ends)))
		spans[partition] = log.Span{To: ends[partition]}
	}
	return s.cluster.Scan(s.ctx, topic, spans, fn)
}

// readLog reads the aggregates' pages.
func (s *stage) readLog(domain string, all []*aggregate) (map[log.Root][]*pb.EventPage, error) {
	topic := log.EventsTopic(domain)
	found := make(map[log.Root][]*pb.EventPage)
	for _, a := range all {
		found[a.root] = nil
	}
	err := s.read(topic, all, func(r *log.Record) error {
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
func (s *stage) query(a *aggregate) ([]*pb.EventPage, error) {
	stream, err := pb.NewEventQueryClient(s.door.conn).GetEvents(s.ctx, &pb.Query{Domain: a.domain, Root: &pb.UUID{Value: a.root[:]}})
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
