package chaos

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// emitted is a command that an event must have led to.
type emitted struct {
	book *pb.CommandBook
	from stored
}

// emits are all commands that the events in the log must have led to, by id: the
// saga is asked again.
func (j *trader) emits() map[string]emitted {
	all := make(map[string]emitted)
	saga := j.fulfillment()
	for _, domain := range j.domains() {
		for root, pages := range j.pages[domain] {
			for _, p := range pages {
				answer, err := saga.HandleSync(context.Background(), p.book(domain))
				if err != nil {
					j.wrong(root, p.ID, "page %d of %s: the saga says %v", p.Number, root, err)
					continue
				}
				for i, c := range answer.GetCommands() {
					c.CommandId = fmt.Sprintf("%s/%s/%s/%d/%d", j.saga, domain, root, p.Number, i)
					c.SagaOrigin = &pb.SagaOrigin{Saga: j.saga, Cause: coverOf(domain, root), Sequence: p.Number, Index: uint32(i)}
					all[c.CommandId] = emitted{c, p}
				}
			}
		}
	}
	return all
}

// book is the page as a saga or a projector gets it.
func (p stored) book(domain string) *pb.EventBook {
	return &pb.EventBook{Cover: coverOf(domain, p.Root), Pages: []*pb.EventPage{{Sequence: &pb.EventPage_Num{Num: p.Number}, Event: p.Packed}}}
}

// sagas: each command that an event must have led to is in its topic, once and as
// it must be, and no other one is there.
func (j *trader) sagas() {
	must, count := j.emits(), make(map[string]int)
	for _, domain := range j.domains() {
		for _, c := range j.trade.books[domain].commands {
			if c.Book.SagaOrigin == nil {
				continue
			}
			count[c.id()]++
			want, ok := must[c.id()]
			switch at := partitioning.Of(c.root(), j.trade.partitions); {
			case !ok:
				j.wrong(c.root(), c.id(), "command %s is at %s, and no event led to it", c.id(), c.At)
			case !sameCommand(c.Book, want.book):
				j.wrong(c.root(), c.id(), "command %s at %s is not what its event leads to: {%v}", c.id(), c.At, c.Book)
			case c.At.Topic != log.CommandsTopic(want.book.Cover.Domain) || c.At.Partition != at:
				j.wrong(c.root(), c.id(), "command %s lies at %s, not in partition %d", c.id(), c.At, at)
			}
		}
	}
	for id, c := range must {
		switch n := count[id]; {
		case n == 0:
			j.missing(c.from.Root, c.from.ID, "command %s is not in its topic, and page %d of %s is there", id, c.from.Number, c.from.Root)
		case n > 1:
			j.wrong(c.from.Root, id, "command %s is in its topic %d times", id, n)
		}
	}
}

// sameCommand leaves out what the saga's coordinator adds from the event's cause.
func sameCommand(got, want *pb.CommandBook) bool {
	got = proto.CloneOf(got)
	got.CorrelationId, got.SagaOrigin.Hops = "", 0
	return proto.Equal(got, want)
}

func isNotification(c sent) bool {
	return len(c.Book.Pages) > 0 && c.Book.Pages[0].Command.MessageIs(&pb.RejectionNotification{})
}

// rejections: the aggregate whose event led to a command that was rejected is told
// so once, and nobody is told of one that was not.
func (j *trader) rejections() {
	told := make(map[string][]sent) // by the id of the command that was rejected
	for _, domain := range j.domains() {
		for _, c := range j.trade.books[domain].commands {
			if isNotification(c) {
				n := &pb.RejectionNotification{}
				if err := c.Book.Pages[0].Command.UnmarshalTo(n); err != nil {
					j.wrong(c.root(), c.id(), "notification %s at %s: %v", c.id(), c.At, err)
					continue
				}
				id := n.GetCommand().GetCommandId()
				told[id] = append(told[id], c)
				if c.id() != id+"/rejected" {
					j.wrong(c.root(), c.id(), "notification %s at %s is of command %s", c.id(), c.At, id)
				}
			}
		}
	}
	for _, domain := range j.domains() {
		for _, c := range j.trade.books[domain].commands {
			if c.Book.SagaOrigin != nil {
				j.rejection(domain, c, told[c.id()])
				delete(told, c.id())
			}
		}
	}
	for id, all := range told {
		j.wrong(all[0].root(), all[0].id(), "somebody was told at %s that command %s was rejected, which nobody sent", all[0].At, id)
	}
}

func (j *trader) rejection(domain string, c sent, told []sent) {
	o, decided := j.outcomes[domain][c.id()]
	origin := c.Book.SagaOrigin
	cause := log.Root(origin.GetCause().GetRoot().GetValue())
	switch {
	case !decided: // that each has an outcome is proved elsewhere
	case o.Code == codes.OK && len(told) > 0:
		j.wrong(cause, told[0].id(), "command %s was accepted, and %s was told that it was rejected", c.id(), cause)
	case o.Code != codes.OK && len(told) == 0:
		j.missing(cause, c.id(), "command %s was rejected (%s), and %s was not told", c.id(), o.Said, cause)
	case len(told) > 1:
		j.wrong(cause, told[0].id(), "that command %s was rejected, %s was told %d times", c.id(), cause, len(told))
	case len(told) == 1 && (told[0].root() != cause || told[0].At.Topic != log.CommandsTopic(origin.Cause.Domain)):
		j.wrong(cause, told[0].id(), "that command %s was rejected, was told at %s and not to %s", c.id(), told[0].At, cause)
	}
}

// letters: a notification that was refused is a dead letter, and nothing else is.
func (j *trader) letters() {
	for _, domain := range j.domains() {
		refused := make(map[string]sent)
		for _, c := range j.trade.books[domain].commands {
			if o, decided := j.outcomes[domain][c.id()]; decided && o.Code != codes.OK && isNotification(c) {
				refused[c.At.String()] = c
			}
		}
		for _, letter := range j.trade.books[domain].dead {
			var source string
			if fmt.Sscan(letter, &source); refused[source].Book == nil {
				j.wrong(log.Root{}, "", "%s became a dead letter", letter)
			}
			delete(refused, source)
		}
		for source, c := range refused {
			j.missing(c.root(), c.id(), "notification %s at %s was refused, and is no dead letter", c.id(), source)
		}
	}
}

// summaries: the projections of a product are what its pages make, in their order,
// and the last is of its last page.
func (j *trader) summaries() {
	last := make(map[log.Root]uint32)
	for _, p := range j.trade.projections {
		pages := j.pages[j.inventory][p.root]
		n := p.projection.GetSequence()
		if n == 0 || int(n) > len(pages) {
			j.wrong(p.root, "", "product %s has a projection of page %d, and %d pages", p.root, n, len(pages))
			continue
		}
		if n <= last[p.root] {
			j.wrong(p.root, "", "product %s: the projection of page %d comes after that of page %d", p.root, n, last[p.root])
		}
		last[p.root] = n
		want, err := inventorysummary.Projector{}.HandleSync(context.Background(), pages[n-1].book(j.inventory))
		if err == nil {
			want.Projector = j.summary
		}
		if !proto.Equal(p.projection, want) {
			j.wrong(p.root, "", "product %s: the projection of page %d is {%v}, and must be {%v}", p.root, n, p.projection, want)
		}
	}
	for root, pages := range j.pages[j.inventory] {
		if n := len(pages); int(last[root]) != n {
			j.missing(root, "", "product %s: the last projection is of page %d, and there are %d pages", root, last[root], n)
		}
	}
}
