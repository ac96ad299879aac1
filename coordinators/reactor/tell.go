package reactor

import (
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// mostTold bounds what is told, which has to fit into the replies' topic. What is
// larger is found in the log by whoever waits for it.
const mostTold = 1<<20 - 4<<10

// tell tells the front doors that wait for these pages what they have led to, which
// is committed. It is outside of the transaction: what of it is lost, as by a crash,
// they find in the log.
func (w *Worker) tell(r *reaction) {
	if !w.c.Synchronous {
		return
	}
	now := time.Now()
	for first := 0; first < len(r.events); {
		last := first // the pages that one caller waits for
		to := r.events[first].page.Cause.AnswerTo
		for last+1 < len(r.events) && r.events[last+1].page.Cause.AnswerTo == to {
			last++
		}
		if to, waits := log.Waiting(to, now); waits {
			w.send(to, w.told(r, r.events[first], r.events[last]))
		}
		first = last + 1
	}
}

// passing tells those who wait for a page that it is none for the service.
func (w *Worker) passing(e *event) {
	if e.page.Cause.AnswerTo != "" {
		w.tell(&reaction{events: []*event{e}})
	}
}

func (w *Worker) told(r *reaction, first, last *event) *angzarr.Reaction {
	told := &angzarr.Reaction{
		Group:     w.c.Group,
		Cover:     &angzarr.Cover{Domain: w.c.Domain.Name, Root: &angzarr.UUID{Value: first.page.Root[:]}},
		FirstPage: first.page.Sequence, LastPage: last.page.Sequence,
	}
	if r.dead != nil {
		told.Failure = r.dead.Code().String() + ": " + start(r.dead.Message())
		return told
	}
	for i := range r.records {
		record := &r.records[i]
		if _, command := log.DomainOf(record.Topic); command {
			var sent angzarr.CommandBook
			if proto.Unmarshal(record.Value, &sent) == nil {
				told.Commands = append(told.Commands, &angzarr.CommandBook{Cover: sent.Cover, CommandId: sent.CommandId})
			}
			continue
		}
		var published angzarr.Projection
		if proto.Unmarshal(record.Value, &published) == nil {
			told.Projection = &published
		}
	}
	return told
}

func (w *Worker) send(to log.AnswerTo, told *angzarr.Reaction) {
	value, err := proto.Marshal(told)
	if err != nil {
		panic("reactor: " + err.Error()) // made here, of what was unmarshalled
	}
	if len(value) > mostTold {
		return
	}
	r := to.Record(log.KindReaction, value)
	w.c.Replies.Send(&r, func(err error) {
		w.log.Warn("a front door was not told what it waits for; it looks into the log", "error", err)
	})
}
