package business

import (
	"slices"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// write puts the records of a decision on the sheet: its pages first, then the
// snapshot that covers them, then what becomes of a polled command.
func (w *Worker) write(s *log.Sheet, d *decision, now time.Time) {
	partition := d.part.claim.Partition
	for i := range d.pages {
		s.AddPage(&d.pages[i], partition)
	}
	if d.snapshot != nil {
		s.AddSnapshot(d.root, d.snapshot, partition)
	}
	if d.erasure != nil {
		d.erasure.write(s, w.domain.Name, d.root, partition)
	}
	if d.polled == nil || d.unfinished() {
		return
	}
	if d.forward {
		s.Records = append(s.Records, forwardOf(d.command, w.domain.Name, w.domain.Partitions))
		return
	}
	switch {
	case d.buried():
		s.Records = append(s.Records, w.deadLetter(d, now))
	case d.replay != nil:
		s.Records = append(s.Records, d.replay.letter.Done(w.domain.Name))
	}
	var key []byte
	if d.rooted {
		key = d.root[:]
	}
	s.AddOutcome(key, outcomeOf(w.domain.Name, d), partition)
	if d.notify > 0 {
		s.Records = append(s.Records, notificationOf(d))
	}
}

// buried says that the command becomes a dead letter. Whoever asked for a reply
// hears of it instead, as a caller does; a record that can't be read is kept all
// the same, and so is what was kept before.
func (d *decision) buried() bool {
	return d.dead && d.polled != nil && (d.replyTo < 0 || !d.rooted || d.replay != nil)
}

const (
	// mostSaid bounds the message of a refusal in bytes: business logic's may
	// be of any length, and an outcome that is too large would stop all others.
	mostSaid = 8 << 10
	// mostDetails bounds the details of one.
	mostDetails = 128 << 10
)

// outcomeOf says what became of a command, without its pages.
func outcomeOf(domain string, d *decision) *angzarr.Outcome {
	o := &angzarr.Outcome{
		CommandId: d.cause.CommandID, CorrelationId: d.correlationID(), DeadLetter: d.buried(), Notified: d.notify > 0,
	}
	if d.rooted {
		o.Cover = coverOf(domain, d.root)
	}
	switch {
	case d.refused != nil:
		st := d.refused.Proto()
		o.Code, o.Message = st.Code, start(st.Message, mostSaid)
		if o.Details = st.Details; d.cut || proto.Size(st) > mostSaid+mostDetails {
			o.Details = nil
		}
	case d.repeat != nil && len(d.repeat.Pages) > 0:
		o.FirstPage = d.repeat.Pages[0].GetNum()
		o.LastPage = d.repeat.Pages[len(d.repeat.Pages)-1].GetNum()
	case len(d.pages) > 0:
		o.FirstPage = d.pages[0].Sequence
		o.LastPage = d.pages[len(d.pages)-1].Sequence
	}
	return o
}

// deadLetter keeps a polled record that could not be done, as it was, with what
// is known about why. The replay of one is that one again.
func (w *Worker) deadLetter(d *decision, now time.Time) log.Record {
	r := d.polled
	l := log.DeadLetter{
		ID:  log.LetterID{Source: r.Source()},
		Key: r.Key, Value: r.Value, Headers: r.Headers, Cut: d.cut,
		CommandID: d.cause.CommandID, Root: d.root, Rooted: d.rooted,
		Cause: d.refused.Code().String(), Message: start(d.refused.Message(), mostSaid),
		Attempts: max(1, d.attempts), Time: now,
	}
	if d.line != nil {
		l.NextPage = d.line.book.Last() + 1
	}
	if d.replay != nil {
		l.ID = d.replay.letter
		l.Attempts += d.replay.attempts
		l.Headers = slices.DeleteFunc(slices.Clone(r.Headers), func(h log.Header) bool {
			return h.Key == log.HeaderReplyTo || h.Key == log.HeaderReplyTag // the replay's
		})
	}
	letter := l.Encode(w.domain.Name)
	letter.Partition = w.letterPartition(d)
	return letter
}

// letterPartition is where a polled command's letter stands, or would.
func (w *Worker) letterPartition(d *decision) int32 {
	if d.replay != nil {
		return d.replay.letter.Source.Partition
	}
	return d.polled.Partition
}

// forwardOf sends a misrouted command to where it belongs. It keeps the id that
// it had where it was read first.
func forwardOf(c *command, domain string, partitions int32) log.Record {
	headers := make([]log.Header, 0, len(c.polled.Headers)+1)
	for _, h := range c.polled.Headers {
		if h.Key != log.HeaderCommandID {
			headers = append(headers, h)
		}
	}
	headers = append(headers, log.Header{Key: log.HeaderCommandID, Value: []byte(c.cause.CommandID)})
	return log.Record{
		Topic: log.CommandsTopic(domain), Partition: partitioning.Of(c.root, partitions),
		Key: c.root[:], Value: c.polled.Value, Headers: headers,
	}
}

// maxReply bounds a reply by what the replies' topic takes, as brokers have it
// by default (max.message.bytes is 1 MiB), less what its batch takes.
const maxReply = 1<<20 - headroom

// sendReply tells the front door that waits. It is outside of the transaction:
// one that is lost is asked for again, with the same id.
func (w *Worker) sendReply(d *decision) {
	r := log.Record{Topic: log.RepliesTopic, Partition: d.replyTo}
	if tag := d.polled.Header(log.HeaderReplyTag); tag != nil {
		r.Headers = []log.Header{{Key: log.HeaderReplyTag, Value: tag}}
	}
	w.send(r, d)
}

// tellOutcome tells the front door that waits for what led to the command. If that
// is lost, it is found in the log.
func (w *Worker) tellOutcome(d *decision) {
	if to, ok := log.Waiting(d.cause.AnswerTo, time.Now()); ok {
		w.send(to.Record("", nil), d)
	}
}

func (w *Worker) send(r log.Record, d *decision) {
	o := outcomeOf(w.domain.Name, d)
	if d.refused == nil {
		o.Book = w.bookOf(d)
	}
	if proto.Size(o) > maxReply {
		o.Book = nil // the numbers of its pages are there
	}
	r.Key, r.Value = []byte(d.cause.CommandID), mustMarshal(o)
	w.replies.Send(&r, func(err error) {
		w.log.Warn("a reply was not written; the caller asks again", "error", err)
	})
}

func mustMarshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic("business: " + err.Error()) // made here, of what was unmarshalled
	}
	return b
}

func recordsSize(records []log.Record) (n int) {
	for i := range records {
		n += records[i].Size()
	}
	return n
}
