package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	summary "github.com/angzarr/angzarr-kafka/examples/proto/inventorysummary"
	"github.com/angzarr/angzarr-kafka/log"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// wait waits until the saga and the projector have come to the last of what must
// come of the story, or there is more than that: nobody who sends a command is told
// when they have.
func (s *stage) wait() error {
	for {
		missing, err := s.missing()
		if err != nil || missing == "" {
			return err
		}
		select {
		case <-s.ctx.Done():
			return fmt.Errorf("the demo went wrong: %s: %w", missing, s.ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// missing names the first thing that has not come yet.
func (s *stage) missing() (string, error) {
	for _, a := range slices.Concat(s.products, s.orders) {
		pages, err := s.query(a)
		if err != nil {
			return "", err
		}
		if len(pages) < len(a.book) {
			return fmt.Sprintf("%s %s has %d of %d pages", a.name, a.root, len(pages), len(a.book)), nil
		}
	}
	published, err := s.published()
	if err != nil {
		return "", err
	}
	for _, a := range s.products {
		if n := published[a.root].GetSequence(); int(n) < len(a.book) {
			return fmt.Sprintf("%s %s: the last projection is of page %d of %d", a.name, a.root, n, len(a.book)), nil
		}
	}
	return "", nil
}

// checkCommands wants the saga's commands, and the rejection, once each, and no
// others for the story's aggregates.
func (s *stage) checkCommands() error {
	found := make(map[string]int)
	for domain, all := range map[string][]*aggregate{stockDomain: s.products, orderDomain: s.orders} {
		topic := log.CommandsTopic(domain)
		err := s.read(topic, all, func(r *log.Record) error {
			c := &pb.CommandBook{}
			if err := proto.Unmarshal(r.Value, c); err != nil {
				return fmt.Errorf("the log is wrong: %s/%d: offset %d is no command: %w", topic, r.Partition, r.Offset, err)
			}
			ours := slices.ContainsFunc(all, func(a *aggregate) bool { return string(a.root[:]) == string(c.GetCover().GetRoot().GetValue()) })
			if !ours || !strings.HasPrefix(c.CommandId, demoSaga+"/") {
				return nil // a client's
			}
			if s.emitted[c.CommandId] != domain {
				return fmt.Errorf("the log is wrong: %s/%d: offset %d: command %s must not be there", topic, r.Partition, r.Offset, c.CommandId)
			}
			found[c.CommandId]++
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.emitted)) {
		if n := found[id]; n != 1 {
			return fmt.Errorf("the log is wrong: command %s is in %s %d times", id, log.CommandsTopic(s.emitted[id]), n)
		}
	}
	return nil
}

// published reads the latest projection of each product.
func (s *stage) published() (map[log.Root]*pb.Projection, error) {
	topic := log.ProjectionsTopic(demoProjector)
	latest := make(map[log.Root]*pb.Projection)
	err := s.read(topic, s.products, func(r *log.Record) error {
		p := &pb.Projection{}
		if err := proto.Unmarshal(r.Value, p); err != nil {
			return fmt.Errorf("the log is wrong: %s/%d: offset %d is no projection: %w", topic, r.Partition, r.Offset, err)
		}
		root, _, _ := log.ParseKey(r.Key)
		latest[root] = p
		return nil
	})
	return latest, err
}

// checkSummaries shows the latest summaries, and compares them with the story's.
func (s *stage) checkSummaries() error {
	published, err := s.published()
	if err != nil {
		return err
	}
	for _, a := range s.products {
		p := published[a.root]
		s.printf("  %-6s  %s\n", a.name, s.payload(p.GetProjection()))
		left := &summary.ProductSummary{}
		if err := p.GetProjection().UnmarshalTo(left); err != nil {
			return fmt.Errorf("the log is wrong: the projection of %s: %w", a.name, err)
		}
		if !proto.Equal(left, a.left) || int(p.GetSequence()) != len(a.book) {
			return fmt.Errorf("the log is wrong: the projection of %s is {%v} of page %d, and must be {%v} of page %d",
				a.name, left, p.GetSequence(), a.left, len(a.book))
		}
	}
	return nil
}
