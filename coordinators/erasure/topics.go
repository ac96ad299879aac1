package erasure

import (
	"errors"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// events are an aggregate's in its events topic.
type events struct {
	aggregate
	pages  finding
	erased *angzarr.Erased
}

func eventsOf(a aggregate) *events { return &events{aggregate: a} }

func (e *events) take(r *log.Record) {
	root, _, kind := log.ParseKey(r.Key)
	switch {
	case root != e.root || r.Partition != e.partition:
	case kind == log.KeyErased:
		erased := &angzarr.Erased{}
		if err := proto.Unmarshal(r.Value, erased); err != nil {
			return // it takes no commands, and its owner says why
		}
		e.erased = erased
		e.pages.ended, e.pages.stands = r.Time, erased.PagesLeft > 0
	case kind == log.KeyPage, kind == log.KeySnapshot:
		if r.Value != nil {
			e.pages.see(r, true)
		} else {
			e.pages.ended = r.Time
		}
	}
}

// other is a topic besides that of the events.
type other struct {
	topic, what string
	take        func(*finding, *log.Record)
}

func others(a aggregate) []other {
	return []other{
		{log.CommandsTopic(a.domain), "commands", func(f *finding, r *log.Record) {
			if a.isCommand(r) {
				f.see(r, true)
			}
		}},
		{log.OutcomesTopic(a.domain), "outcomes", func(f *finding, r *log.Record) {
			if string(r.Key) == string(a.root[:]) {
				f.see(r, true)
			}
		}},
		{log.RepliesTopic, "replies", func(f *finding, r *log.Record) {
			var o angzarr.Outcome
			if proto.Unmarshal(r.Value, &o) == nil && a.is(o.Cover) {
				f.see(r, true)
			}
		}},
		{log.DeadLettersTopic(a.domain), "dead letters", lettersOf(a)},
	}
}

// lettersOf tells of letters, of which the last tombstone says that none stands.
func lettersOf(a aggregate) func(*finding, *log.Record) {
	standing := make(map[log.LetterID]bool)
	return func(f *finding, r *log.Record) {
		l, err := log.DecodeLetter(r)
		switch {
		case errors.Is(err, log.ErrNoLetter), err == nil && l.Dropped != "":
			if _, known := standing[l.ID]; known {
				delete(standing, l.ID)
				f.ended = r.Time
			}
		case l.Of(a.root):
			standing[l.ID] = true
			f.see(r, true)
		}
		f.stands = len(standing) > 0
	}
}

func (a aggregate) is(c *angzarr.Cover) bool {
	return c.GetDomain() == a.domain && string(c.GetRoot().GetValue()) == string(a.root[:])
}

// isCommand says whether a record of the commands topic is of the aggregate, as its
// book says it, or else its key. Requests to erase it hold nothing of it.
func (a aggregate) isCommand(r *log.Record) bool {
	var cover *angzarr.Cover
	switch string(r.Header(log.HeaderKind)) {
	case log.KindErasure:
		return false
	case log.KindEventBook:
		var b angzarr.EventBook
		if proto.Unmarshal(r.Value, &b) == nil {
			cover = b.Cover
		}
	default:
		var b angzarr.CommandBook
		if proto.Unmarshal(r.Value, &b) == nil {
			cover = b.Cover
		}
	}
	return a.is(cover) || string(r.Key) == string(a.root[:])
}

// isProjection says whether a record of a projections topic is of the aggregate:
// another domain's may have the same root.
func (a aggregate) isProjection(r *log.Record) bool {
	if string(r.Key) != string(a.root[:]) {
		return false
	}
	var p angzarr.Projection
	return r.Value == nil || proto.Unmarshal(r.Value, &p) != nil || p.Cover == nil || a.is(p.Cover)
}
