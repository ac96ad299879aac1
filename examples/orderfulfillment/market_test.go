package orderfulfillment

import (
	"math/rand/v2"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/examples/order"
	stock "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// aggregate is one of a domain's.
type aggregate struct {
	domain string
	root   uuid.UUID
}

func of(cover *angzarr.Cover) aggregate {
	return aggregate{cover.GetDomain(), uuid.UUID(cover.GetRoot().GetValue())}
}

func (a aggregate) cover() *angzarr.Cover {
	return &angzarr.Cover{Domain: a.domain, Root: &angzarr.UUID{Value: a.root[:]}}
}

// market is what the contract says of a deployment, without one: commands of one
// aggregate are decided in the order in which they came, its events reach the
// saga in theirs, and a rejected command goes back to where it came from. In
// which order aggregates get their turns is by chance.
type market struct {
	*testing.T
	chance *rand.Rand
	logic  map[string]angzarr.BusinessLogicServer
	all    []aggregate // that were ever asked for anything
	waits  map[aggregate][]*angzarr.CommandBook
	books  map[aggregate]*angzarr.EventBook
	read   map[aggregate]int // how many pages the saga has had
	again  bool              // commands may come twice

	dead    int // notifications that were refused
	unasked int // reservations that an order didn't want any more
}

func open(t *testing.T, seed uint64, again bool) *market {
	return &market{
		T: t, chance: rand.New(rand.NewPCG(seed, 0)), again: again,
		logic: map[string]angzarr.BusinessLogicServer{"inventory": inventory.Logic{}, "order": order.Logic{}},
		waits: make(map[aggregate][]*angzarr.CommandBook), books: make(map[aggregate]*angzarr.EventBook), read: make(map[aggregate]int),
	}
}

// ask puts a client's command behind those that wait for their aggregate.
func (m *market) ask(a aggregate, command proto.Message) {
	m.send(&angzarr.CommandBook{Cover: a.cover(), Pages: []*angzarr.CommandPage{{Command: m.pack(command)}}})
}

func (m *market) send(c *angzarr.CommandBook) {
	a := of(c.GetCover())
	if m.books[a] == nil {
		m.books[a] = &angzarr.EventBook{Cover: a.cover()}
		m.all = append(m.all, a)
	}
	m.waits[a] = append(m.waits[a], c)
}

// turn lets one aggregate decide, or the saga read a page, and says whether
// there was anything to do.
func (m *market) turn() bool {
	var turns []func()
	for _, a := range m.all {
		if len(m.waits[a]) > 0 {
			turns = append(turns, func() { m.decide(a) })
		}
		if m.read[a] < len(m.books[a].GetPages()) {
			turns = append(turns, func() { m.react(a) })
		}
	}
	if len(turns) == 0 {
		return false
	}
	turns[m.chance.IntN(len(turns))]()
	return true
}

func (m *market) decide(a aggregate) {
	command := m.waits[a][0]
	m.waits[a] = m.waits[a][1:]
	book := m.books[a]
	answer, err := m.logic[a.domain].Handle(m.Context(), &angzarr.ContextualCommand{Events: book, Command: command})
	packed := command.GetPages()[0].GetCommand()
	if err != nil {
		m.refused(command, packed, status.Convert(err))
	}
	for _, page := range answer.GetPages() {
		page.Sequence = &angzarr.EventPage_Num{Num: uint32(len(book.GetPages())) + 1}
		book.Pages = append(book.Pages, page)
	}
	if a.domain == "inventory" && packed.MessageIs(&angzarr.RejectionNotification{}) {
		m.unasked += len(answer.GetPages())
	}
	// A commit is left out: between a reservation that comes again and its own
	// release nothing tells it from the first.
	if m.again && command.GetCommandId() == "" && !packed.MessageIs(&stock.CommitReservation{}) && m.chance.IntN(3) == 0 {
		repeat := proto.CloneOf(command)
		repeat.CommandId = "again"
		m.send(repeat)
	}
}

// refused sends a saga's command back as what it is a rejection of.
func (m *market) refused(command *angzarr.CommandBook, packed *anypb.Any, why *status.Status) {
	switch origin := command.GetSagaOrigin(); {
	case packed.MessageIs(&angzarr.RejectionNotification{}):
		m.dead++
	case origin != nil:
		m.ask(of(origin.GetCause()), &angzarr.RejectionNotification{
			Command: command, Code: int32(why.Code()), Message: why.Message(), Saga: origin.GetSaga(),
		})
	}
}

func (m *market) react(a aggregate) {
	page := m.books[a].GetPages()[m.read[a]]
	m.read[a]++
	answer, err := Saga{}.HandleSync(m.Context(), &angzarr.EventBook{Cover: a.cover(), Pages: []*angzarr.EventPage{page}})
	if err != nil {
		m.Fatal(err)
	}
	for i, c := range answer.GetCommands() {
		c.SagaOrigin = &angzarr.SagaOrigin{Saga: "order-fulfillment", Cause: a.cover(), Sequence: page.GetNum(), Index: uint32(i)}
		m.send(c)
	}
}

// events are all that happened to an aggregate.
func (m *market) events(a aggregate) (events []proto.Message) {
	for _, page := range m.books[a].GetPages() {
		event, err := page.GetEvent().UnmarshalNew()
		if err != nil {
			m.Fatal(err)
		}
		events = append(events, event)
	}
	return events
}

func (m *market) pack(message proto.Message) *anypb.Any {
	packed, err := anypb.New(message)
	if err != nil {
		m.Fatal(err)
	}
	return packed
}
