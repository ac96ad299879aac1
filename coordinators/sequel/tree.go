package sequel

import (
	"math"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// stretch is pages of a root that one command has led to.
type stretch struct {
	aggregate
	first, last uint32
	at          int64  // where the first one is in the log, or a place before; -1 if that is not known
	sagas       uint32 // how many may still follow
	only        string // the group that is waited for; all synchronous ones, if empty
}

// want is something that is waited for: a service that has yet to react to pages, or
// a command that is yet to be decided.
type want struct {
	stretch // pages
	reader  Reader

	command string // its id, "" for pages
	sagas   uint32 // how many may still follow upon it
}

func (w *want) undone(reason angzarr.Undone_Reason) *angzarr.Undone {
	u := &angzarr.Undone{Reason: reason, Cover: w.cover(), CommandId: w.command}
	if w.command == "" {
		u.Service, u.FirstPage, u.LastPage = w.reader.String(), w.first, w.last
	}
	return u
}

// sequel is what is known of what pages have led to, in the form of an answer, and
// what is still to come.
type sequel struct {
	*angzarr.SynchronousProcessingResponse
	wants []want
	gone  bool // the group that alone was waited for is no more
}

// tree follows what pages have led to, as far as that is known.
type tree struct {
	*facts
	sequel
	readers func(domain string) []Reader
	seen    map[string]bool // commands
	shown   map[readBy]bool // projections
}

// sequelOf says what is known of what the pages have led to. Without readers that
// are waited for there is nothing to come.
func (f *facts) sequelOf(of stretch, readers func(domain string) []Reader) sequel {
	t := &tree{
		facts: f, readers: readers, seen: make(map[string]bool), shown: make(map[readBy]bool),
		sequel: sequel{SynchronousProcessingResponse: &angzarr.SynchronousProcessingResponse{}},
	}
	t.pages(of)
	return t.sequel
}

func (t *tree) pages(of stretch) {
	for _, reader := range t.readers(of.domain) {
		waited := reader.Synchronous
		if of.only != "" {
			waited = reader.Group == of.only
		}
		if !waited {
			continue
		}
		if t.facts.gone[reader.Group] {
			t.sequel.gone = of.only != ""
			continue
		}
		by := readBy{reader.Group, of.domain, of.root}
		found, all := t.by(by, of.first, of.last)
		if w := (want{stretch: of, reader: reader}); !all && t.erased[of.aggregate] {
			t.Undone = append(t.Undone, w.undone(angzarr.Undone_REASON_ERASED))
		} else if !all {
			t.wants = append(t.wants, w)
		}
		for _, r := range found {
			t.reaction(of, reader, r)
		}
		if p := t.projections[by]; p != nil && !t.shown[by] {
			t.shown[by] = true
			t.projection(by, p, reader)
		}
	}
}

func (t *tree) projection(by readBy, p *angzarr.Projection, reader Reader) {
	if t.hidden[by] {
		t.Undone = append(t.Undone, &angzarr.Undone{
			Reason: angzarr.Undone_REASON_LEFT_OUT, Service: reader.String(), Cover: p.Cover, LastPage: p.Sequence,
		})
		return
	}
	t.Projections = append(t.Projections, p)
}

// reaction follows what a service has made of pages.
func (t *tree) reaction(of stretch, reader Reader, r *angzarr.Reaction) {
	if r.Failure != "" {
		t.Undone = append(t.Undone, &angzarr.Undone{
			Reason: angzarr.Undone_REASON_DEAD_LETTER, Service: reader.String(), Cover: r.Cover,
			FirstPage: r.FirstPage, LastPage: r.LastPage, Message: r.Failure,
		})
		return
	}
	for _, c := range r.Commands {
		to, ok := aggregateOf(c.Cover)
		if !ok || t.seen[c.CommandId] {
			continue
		}
		if of.only != "" {
			t.Commands = append(t.Commands, c)
		}
		w := want{stretch: stretch{aggregate: to}, command: c.CommandId}
		if of.sagas == 0 {
			t.seen[c.CommandId] = true
			t.Undone = append(t.Undone, w.undone(angzarr.Undone_REASON_DEPTH))
			continue
		}
		w.sagas = of.sagas - 1
		t.command(w, of.aggregate)
	}
}

// command follows what became of one that came of an aggregate's event.
func (t *tree) command(w want, cause aggregate) {
	t.seen[w.command] = true
	o := t.outcomes[w.command]
	if o == nil {
		t.wants = append(t.wants, w)
		return
	}
	shown := &angzarr.Outcome{
		CommandId: o.CommandId, CorrelationId: o.CorrelationId, Cover: w.cover(), Code: o.Code, Message: o.Message,
		Details: o.Details, FirstPage: o.FirstPage, LastPage: o.LastPage, DeadLetter: o.DeadLetter, Notified: o.Notified,
	}
	t.Outcomes = append(t.Outcomes, shown)
	if o.LastPage > 0 {
		if t.leftOut[w.command] {
			t.Undone = append(t.Undone, &angzarr.Undone{
				Reason: angzarr.Undone_REASON_LEFT_OUT, Cover: w.cover(), FirstPage: o.FirstPage, LastPage: o.LastPage, CommandId: w.command,
			})
		} else {
			t.Books = append(t.Books, &angzarr.EventBook{
				Cover: w.cover(), Pages: o.Book.GetPages(), CommandId: o.CommandId, CorrelationId: o.CorrelationId,
			})
		}
		at, _ := Whereabouts(o.Book)
		t.pages(stretch{aggregate: w.aggregate, first: o.FirstPage, last: o.LastPage, at: at, sagas: w.sagas})
	}
	if told := w.command + "/rejected"; o.Notified && !t.seen[told] {
		t.command(want{stretch: stretch{aggregate: cause}, command: told, sagas: w.sagas}, cause)
	}
}

// Whereabouts says where in the log a worker's answer has its first page, or a place
// before, -1 if it doesn't say so; and whether it is a repeat's.
func Whereabouts(book *angzarr.EventBook) (at int64, repeat bool) {
	var w angzarr.Whereabouts
	position := book.GetPosition()
	if len(position) == 0 || proto.Unmarshal(position, &w) != nil || w.Offset < 0 || w.Offset == math.MaxInt64 {
		return -1, false
	}
	return w.Offset, w.Repeat
}

// keyOf tells stretches apart.
func keyOf(s stretch) pagesKey { return pagesKey{s.aggregate, s.first, s.last} }

type pagesKey struct {
	of          aggregate
	first, last uint32
}
