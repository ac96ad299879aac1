package sequel

import (
	"cmp"
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// readBy is a root whose pages a group reads.
type readBy struct {
	group, domain string
	root          log.Root
}

// aggregate is a root of a domain.
type aggregate struct {
	domain string
	root   log.Root
}

func aggregateOf(cover *angzarr.Cover) (aggregate, bool) {
	root, err := log.RootOf(cover.GetRoot().GetValue())
	return aggregate{cover.GetDomain(), root}, err == nil
}

func (a aggregate) cover() *angzarr.Cover {
	return &angzarr.Cover{Domain: a.domain, Root: &angzarr.UUID{Value: a.root[:]}}
}

// facts is what is known by now of what pages have led to. What is learnt twice, by
// a word and from the log, is one fact.
type facts struct {
	reactions   map[readBy][]*angzarr.Reaction // in the order of their pages
	projections map[readBy]*angzarr.Projection // the latest
	outcomes    map[string]*angzarr.Outcome    // by command
	gone        map[string]bool                // groups that are no more
	erased      map[aggregate]bool

	room    int             // bytes of payload that may still be kept
	leftOut map[string]bool // commands whose books were not, for want of room
	hidden  map[readBy]bool // projections that were not
}

func newFacts(room int) *facts {
	return &facts{
		reactions: make(map[readBy][]*angzarr.Reaction), projections: make(map[readBy]*angzarr.Projection),
		outcomes: make(map[string]*angzarr.Outcome), gone: make(map[string]bool), erased: make(map[aggregate]bool),
		room: room, leftOut: make(map[string]bool), hidden: make(map[readBy]bool),
	}
}

// reacted takes in what a service has made of some pages.
func (f *facts) reacted(r *angzarr.Reaction) {
	of, ok := aggregateOf(r.Cover)
	if !ok || r.FirstPage == 0 || r.LastPage < r.FirstPage {
		return
	}
	by := readBy{r.Group, of.domain, of.root}
	if r.Projection != nil {
		f.project(by, r.Projection)
		r.Projection = nil
	}
	at, known := slices.BinarySearchFunc(f.reactions[by], r, func(a, b *angzarr.Reaction) int {
		return cmp.Or(cmp.Compare(a.FirstPage, b.FirstPage), cmp.Compare(a.LastPage, b.LastPage))
	})
	if known {
		return
	}
	f.reactions[by] = slices.Insert(f.reactions[by], at, r)
}

func (f *facts) project(by readBy, p *angzarr.Projection) {
	before := f.projections[by]
	if before != nil && before.Sequence >= p.Sequence {
		return
	}
	if before != nil && !f.hidden[by] {
		f.room += proto.Size(before)
	}
	size := proto.Size(p)
	if f.hidden[by] = size > f.room; f.hidden[by] {
		p.Projection, size = nil, 0
	}
	f.room -= size
	f.projections[by] = p
}

// decided takes in what became of a command. Without its book, if it has led to
// pages, it is not known yet.
func (f *facts) decided(o *angzarr.Outcome) {
	if f.outcomes[o.CommandId] != nil || o.LastPage > 0 && o.Book == nil {
		return
	}
	if o.Book != nil {
		size := proto.Size(o.Book)
		if size > f.room {
			f.leftOut[o.CommandId] = true
			o.Book.Pages, size = nil, 0
		}
		f.room -= size
	}
	f.outcomes[o.CommandId] = o
}

// by gives what is known of pages that a group reads: the reactions to some of them,
// and whether that is all of them.
func (f *facts) by(by readBy, first, last uint32) (found []*angzarr.Reaction, all bool) {
	next := first
	for _, r := range f.reactions[by] {
		if r.LastPage < first || r.FirstPage > last {
			continue
		}
		found = append(found, r)
		if r.FirstPage <= next {
			next = max(next, r.LastPage+1)
		}
	}
	return found, next > last
}
