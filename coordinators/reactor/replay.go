package reactor

import (
	"context"
	"errors"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A dead letter that the service is to handle again says so itself, in the
// dead-letters topic. Who owns the partition finds it there, also one that an
// earlier owner has left, and calls it in its root's line, behind what waits.

// letters is what is known of a partition's dead letters.
type letters struct {
	open  bool  // the partition may be read
	next  int64 // all before it was read
	seen  map[log.LetterID]seen
	under map[log.LetterID]*event // those that are being replayed
}

// seen is the last that was said of a letter, other than that it is to be replayed.
type seen struct {
	at       int64
	attempts int // 0: somebody was done with it
}

func newLetters() letters {
	return letters{seen: make(map[log.LetterID]seen), under: make(map[log.LetterID]*event)}
}

// replayed takes in that events are committed.
func (l *letters) replayed(events []*event) {
	for _, e := range events {
		if e.replay != nil {
			delete(l.under, e.replay.ID)
		}
	}
}

// lookForReplaysEvery is how soon it is seen that a letter is to be replayed.
const lookForReplaysEvery = time.Second

// lookForReplays reads what is new in the dead-letters topic, now and from time to
// time.
func (w *Worker) lookForReplays() {
	if w.work.Err() != nil {
		return
	}
	parts := make(map[int32]*part)
	from := make(map[int32]int64)
	for number, p := range w.parts {
		if p.letters.open && !p.closing {
			parts[number], from[number] = p, p.letters.next
		}
	}
	if len(parts) == 0 {
		w.later(w.work, lookForReplaysEvery, w.lookForReplays)
		return
	}
	w.loop.Aside(func() func() {
		found, to, err := w.readLetters(w.work, from)
		return func() {
			if err != nil && w.work.Err() == nil {
				w.log.Warn("it can't be seen which dead letters are to be replayed; trying again", "error", err)
			}
			for number, p := range parts {
				if err == nil && !p.closing {
					p.letters.next = to[number]
					w.takeLetters(p, found[number])
				}
			}
			w.step()
			w.later(w.work, lookForReplaysEvery, w.lookForReplays)
		}
	})
}

// found is what a record says of a letter.
type found struct {
	letter *log.DeadLetter
	stands bool
}

// lettersTimeout bounds one look; the next one goes on.
const lettersTimeout = time.Minute

// readLetters reads the letters of the group from offsets to the topic's end.
func (w *Worker) readLetters(ctx context.Context, from map[int32]int64) (all map[int32][]found, to map[int32]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lettersTimeout)
	defer cancel()
	domain := w.c.Domain.Name
	to, err = w.member.HighWatermarks(ctx, log.DeadLettersTopic(domain))
	if errors.Is(err, log.ErrNoTopic) {
		return nil, from, nil
	}
	if err != nil {
		return nil, nil, err
	}
	spans := make(map[int32]log.Span)
	for number, at := range from {
		spans[number] = log.Span{From: at, To: to[number]}
	}
	all = make(map[int32][]found)
	err = w.c.Cluster.FollowLetters(ctx, domain, spans, func(l *log.DeadLetter, stands bool) {
		if l.ID.Reader != w.c.Group {
			return
		}
		if !l.Asked {
			l.Key, l.Value, l.Headers = nil, nil, nil
		}
		number := l.ID.Source.Partition
		all[number] = append(all[number], found{l, stands})
	})
	return all, to, err
}

// takeLetters takes in what was said of letters, in order.
func (w *Worker) takeLetters(p *part, all []found) {
	last := make(map[log.LetterID]*log.DeadLetter) // those that are to be replayed
	var order []log.LetterID
	for _, f := range all {
		l := f.letter
		switch {
		case f.stands && l.Asked:
			last[l.ID] = l
			order = append(order, l.ID)
			continue
		case f.stands:
			p.letters.seen[l.ID] = seen{l.At, l.Attempts}
		default:
			p.letters.seen[l.ID] = seen{at: l.At}
			if e := p.letters.under[l.ID]; e != nil {
				e.given = true // unless it is being called, or was
			}
		}
		delete(last, l.ID)
	}
	for _, id := range order {
		if l := last[id]; l != nil && p.letters.under[id] == nil {
			delete(last, id)
			w.replay(p, l)
		}
	}
}

// replay has a letter's event called once more.
func (w *Worker) replay(p *part, l *log.DeadLetter) {
	record := l.Record()
	record.Time = time.Now()
	e := &event{record: &record, replay: l, size: record.Size() + aroundEvent}
	p.letters.under[l.ID] = e
	if before := p.letters.seen[l.ID]; before.at > l.Base {
		if before.attempts == 0 {
			// It was asked for when somebody was done with it already.
			w.settle(p, e)
			return
		}
		l.Attempts = before.attempts
	}
	page, err := log.DecodePage(&record)
	switch {
	case err != nil:
		w.held += e.size
		p.open++
		w.die(p, e, status.New(codes.DataLoss, err.Error()), 1)
	case !w.c.Service.Wants(&page):
		w.settle(p, e)
	default:
		e.page = page
		w.advance(w.queue(p, page.Root, e))
	}
}

// settle is done with a letter that needs no call.
func (w *Worker) settle(p *part, e *event) {
	w.held += e.size
	p.open++
	w.react(&reaction{part: p, events: []*event{e}})
}

// giveUp leaves out the replay at the head of the line: somebody has dropped it.
func (w *Worker) giveUp(l *line) {
	gone := l.queue[:1:1]
	w.leave(l, gone)
	w.forget(gone)
	l.part.letters.replayed(gone)
}

// doneWith gives the tombstones of the letters that a reaction was asked for by.
func (w *Worker) doneWith(r *reaction) (records []log.Record) {
	for _, e := range r.events {
		if e.replay != nil {
			records = append(records, e.replay.ID.Done(w.c.Domain.Name))
		}
	}
	return records
}

// uncommitted says whether anything that pages of the line have led to is not in
// the log yet.
func (w *Worker) uncommitted(l *line) bool {
	for _, some := range [][]*reaction{w.ready, w.committing} {
		for _, r := range some {
			if r.part == l.part && len(r.events) > 0 && r.events[0].root() == l.root {
				return true
			}
		}
	}
	return false
}

// root is the one that the event is of.
func (e *event) root() log.Root {
	root, _, _ := log.ParseKey(e.record.Key)
	return root
}
