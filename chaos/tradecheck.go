package chaos

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
)

// trader holds the market's log against what must have come of it.
type trader struct {
	*market
	trade    trade
	tries    []try
	pages    map[string]map[log.Root][]stored // by domain
	outcomes map[string]map[string]outcome    // by domain and id

	judge // which notes what is found
}

// tradeProofs are those of the market besides the ones that each of its domains
// has in common with the run's own.
var tradeProofs = []struct {
	name  string
	prove func(*trader)
}{
	{"orders", (*trader).orders},
	{"stock", (*trader).stock},
	{"reservations", (*trader).reservations},
	{"sagas", (*trader).sagas},
	{"rejections", (*trader).rejections},
	{"letters", (*trader).letters},
	{"projections", (*trader).summaries},
}

// common are proofs of any domain, whatever its commands are.
var common = []proof{
	{"numbering", (*judge).numbering},
	{"acknowledged", (*judge).acknowledged},
	{"refused", (*judge).refused},
	{"answers", (*judge).answers},
	{"one outcome", (*judge).oneEach},
}

// checkTrade says all that is wrong with the market.
func checkTrade(m *market, t trade, tries []try) []finding {
	j := newTrader(m, t, tries)
	for _, p := range tradeProofs {
		j.proof = p.name
		before := len(j.found)
		p.prove(j)
		slices.SortStableFunc(j.found[before:], func(a, b finding) int { return cmp.Compare(a.Text, b.Text) })
	}
	for _, domain := range m.domains() {
		b := t.books[domain]
		of := newJudge(triesOf(domain, tries), evidence{
			Pages: b.pages, Outcomes: b.outcomes, Commands: countByID(b.commands), Partitions: t.partitions,
		})
		of.prove(common)
		j.found = append(j.found, of.found...)
	}
	return j.found
}

func newTrader(m *market, t trade, tries []try) *trader {
	j := &trader{
		market: m, trade: t, tries: tries,
		pages: make(map[string]map[log.Root][]stored), outcomes: make(map[string]map[string]outcome),
	}
	for domain, b := range t.books {
		j.pages[domain], j.outcomes[domain] = make(map[log.Root][]stored), make(map[string]outcome)
		for _, p := range b.pages {
			j.pages[domain][p.Root] = append(j.pages[domain][p.Root], p)
		}
		for _, o := range b.outcomes {
			j.outcomes[domain][o.ID] = o
		}
	}
	return j
}

func triesOf(domain string, tries []try) (of []try) {
	for _, t := range tries {
		if t.Domain == domain {
			of = append(of, t)
		}
	}
	return of
}

// orders: each has a history that an order can have, and one outcome.
func (j *trader) orders() {
	for root, o := range j.lives() {
		switch {
		case o.wrong != "":
			j.wrong(root, "", "order %s: %s", root, o.wrong)
		case o.state == placed:
			j.missing(root, "", "order %s has no outcome: %d of its %d lines are reserved", root, len(o.set), len(o.lines))
		}
	}
}

// stock: each event of a product leaves what the ones before it and itself make.
func (j *trader) stock() {
	for root, s := range j.stores() {
		if s.wrong != "" {
			j.wrong(root, "", "product %s: %s", root, s.wrong)
		}
	}
}

// reservations: there is one for each line of an order that was confirmed, and it
// became what the order did. So the stock of a product is what was delivered
// without what was shipped, and what is reserved is that of confirmed orders.
func (j *trader) reservations() {
	lives, stores := j.lives(), j.stores()
	for root, o := range lives {
		for product, quantity := range o.lines {
			var has reservation
			if s := stores[product]; s != nil {
				has = s.of[root]
			}
			want := map[standing][]holding{
				placed: {none, held}, confirmed: {held}, shipped: {committed}, rejected: {none, released}, cancelled: {none, released},
			}[o.state]
			if !slices.Contains(want, has.is) || has.is != none && has.quantity != quantity {
				j.missing(root, "", "order %s is %s and has %d of product %s %s; it wants %d", root, o.state, has.quantity, product, has.is, quantity)
			}
		}
	}
	for product, s := range stores {
		for root := range s.of {
			if o := lives[root]; o == nil || o.lines[product] == 0 {
				j.missing(product, "", "product %s is reserved for order %s, which has no line of it", product, root)
			}
		}
	}
}

func (j *trader) lives() map[log.Root]*life {
	all := make(map[log.Root]*life)
	for root, pages := range j.pages[j.market.orders] {
		o := &life{lines: make(map[log.Root]uint32), set: make(map[log.Root]bool)}
		all[root] = o
		for _, p := range pages {
			if why := o.live(p.Packed); why != "" && o.wrong == "" {
				o.wrong = fmt.Sprintf("page %d, %s: %s", p.Number, p.Event, why)
			}
		}
	}
	return all
}

func (j *trader) stores() map[log.Root]*store {
	all := make(map[log.Root]*store)
	for root, pages := range j.pages[j.inventory] {
		s := &store{of: make(map[log.Root]reservation)}
		all[root] = s
		for _, p := range pages {
			if why := s.take(p.Packed); why != "" && s.wrong == "" {
				s.wrong = fmt.Sprintf("page %d, %s: %s", p.Number, p.Event, why)
			}
		}
	}
	return all
}
