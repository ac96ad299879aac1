package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// trade is what the log says of the market.
type trade struct {
	books       map[string]books // by domain
	projections []projected      // in log order of each partition
	partitions  int32
}

// books are what it says of one domain.
type books struct {
	pages    []stored // in log order of each partition
	commands []sent
	outcomes []outcome
	dead     []string
}

// projected is a record of the projector's topic.
type projected struct {
	root       log.Root
	projection *pb.Projection
}

// trade reads the market's topics. What was caused is read before its cause, so
// that what happens meanwhile can't look as if it had none.
func (r reader) trade(ctx context.Context, m *market, partitions int) (t trade, err error) {
	t = trade{books: make(map[string]books), partitions: int32(partitions)}
	if t.projections, err = r.projections(ctx, m.summary); err != nil {
		return t, err
	}
	all := make(map[string]*books)
	steps := []func(reader, *books) error{
		func(r reader, b *books) (err error) { b.dead, err = r.deadLetters(ctx); return err },
		func(r reader, b *books) (err error) { b.outcomes, err = r.outcomes(ctx); return err },
		func(r reader, b *books) (err error) { b.commands, err = r.commands(ctx); return err },
		func(r reader, b *books) (err error) { b.pages, err = r.pages(ctx); return err },
	}
	for _, step := range steps {
		for _, domain := range m.domains() {
			if all[domain] == nil {
				all[domain] = &books{}
			}
			if err := step(reader{r.cluster, r.admin, domain}, all[domain]); err != nil {
				return t, err
			}
		}
	}
	for domain, b := range all {
		t.books[domain] = *b
	}
	return t, nil
}

func (r reader) projections(ctx context.Context, name string) (all []projected, err error) {
	records, err := r.topic(ctx, log.ProjectionsTopic(name))
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		p := &pb.Projection{}
		if err := proto.Unmarshal(record.Value, p); err != nil {
			return nil, fmt.Errorf("projection at %s: %w", record.Source(), err)
		}
		root, _, _ := log.ParseKey(record.Key)
		all = append(all, projected{root, p})
	}
	return all, nil
}

// settleTrade reads the market until nothing is missing that may yet come. If it
// never comes, the proofs say what it is.
func (r reader) settleTrade(ctx context.Context, m *market, tries []try, partitions int, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		t, err := r.trade(ctx, m, partitions)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		found := checkTrade(m, t, tries)
		waits := len(found) > 0 && !slices.ContainsFunc(found, func(f finding) bool { return !f.Waits })
		if !waits || sleep(ctx, 500*time.Millisecond) != nil {
			return nil
		}
	}
}

// tries are the commands of the saga as if somebody had produced them, for timelines.
func (t trade) tries(begun time.Time) (all []try) {
	for domain, b := range t.books {
		for _, c := range b.commands {
			if c.Book.SagaOrigin == nil && !isNotification(c) {
				continue
			}
			message, err := c.Book.Pages[0].Command.UnmarshalNew()
			if err != nil {
				continue // the proofs say so
			}
			all = append(all, try{
				ID: c.id(), Domain: domain, Root: c.root(), Wish: message, Way: "saga", Result: produced,
				Call: int64(c.Time.Sub(begun)), Return: forever,
			})
		}
	}
	return all
}

// with adds the market's pages and outcomes, for timelines.
func (e evidence) with(t trade) evidence {
	e.Pages, e.Outcomes = slices.Clip(e.Pages), slices.Clip(e.Outcomes)
	for _, b := range t.books {
		e.Pages = append(e.Pages, b.pages...)
		e.Outcomes = append(e.Outcomes, b.outcomes...)
	}
	return e
}

// outcomes count what became of orders.
func (t trade) outcomes(m *market) map[string]int {
	became := make(map[string]int)
	for _, o := range newTrader(m, t, nil).lives() {
		became[string(o.state)]++
	}
	return became
}

// untried says which outcomes no order had: of those the run proves nothing.
func (t trade) untried(m *market) (found []finding) {
	became := t.outcomes(m)
	for _, state := range []standing{confirmed, shipped, cancelled, rejected} {
		if became[string(state)] == 0 {
			found = append(found, finding{Proof: "orders", Text: fmt.Sprintf("no order was %s, so that was not tried", state)})
		}
	}
	return found
}

// text says what happened on the market.
func (t trade) text(m *market) string {
	ours, told := 0, 0
	for _, domain := range m.domains() {
		for _, c := range t.books[domain].commands {
			if isNotification(c) {
				told++
			} else if c.Book.SagaOrigin != nil {
				ours++
			}
		}
	}
	pages := 0
	for b := range maps.Values(t.books) {
		pages += len(b.pages)
	}
	return fmt.Sprintf("orders: %s; %d commands of the saga, of which %d were rejected and told so; %d pages, %d projections",
		countsText(t.outcomes(m)), ours, told, pages, len(t.projections))
}
