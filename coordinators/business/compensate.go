package business

import (
	"strconv"

	"github.com/angzarr/angzarr-kafka/coordinators/calls"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const notificationName = "angzarr.RejectionNotification"

func isNotification(typeURL string) bool {
	n := len(typeURL) - len(notificationName)
	return n > 0 && typeURL[n-1] == '/' && typeURL[n:] == notificationName
}

// rejected takes in that a polled command was refused. If a saga emitted it, the
// aggregate whose event caused it is told, in the same transaction. Who refuses
// to be told ends it: that is a dead letter, and nobody is told of it.
func (w *Worker) rejected(d *decision) {
	if d.order.notification {
		d.dead = true
	}
	if !d.compensates() {
		w.decided = append(w.decided, d)
		return
	}
	w.loop.Aside(func() func() {
		partitions, st := w.domains.Find(d.part.ctx, "saga_origin.cause.domain", d.order.origin.Cause.Domain)
		return func() {
			switch {
			case d.part.ctx.Err() != nil:
				w.abandon(d.line, d.command)
			case st == nil:
				d.notify = partitions
				w.decided = append(w.decided, d)
			case st.Code() == codes.NotFound:
				w.log.Warn("nobody can be told of a rejected command of a saga: it becomes a dead letter", "command", d.cause.CommandID, "error", st.Message())
				d.dead = true
				w.decided = append(w.decided, d)
			default:
				d.reads++
				w.later(d.part.ctx, calls.RetryAfter(d.reads), func() { w.rejected(d) })
			}
			w.step()
		}
	})
}

// compensates says whether somebody is to be told of the rejection. Who waits for
// a reply hears of it, unless that is an operator who has a dead letter replayed;
// what broke, and was not refused, is kept as a dead letter for somebody to look
// at, and may be done yet.
func (d *decision) compensates() bool {
	return d.order.origin != nil && (d.replyTo < 0 || d.replay != nil) && (!d.dead || d.refused.Code() == codes.Unknown)
}

// mostTold bounds the rejected command in a notification, which has to fit into
// a commands topic with all that is said about it.
const mostTold = 512 << 10

// notificationOf is the command that tells an aggregate of the rejection. Its id
// follows from the rejected one's: the same rejection is told once.
func notificationOf(d *decision) log.Record {
	origin := d.order.origin
	o := outcomeOf(origin.Cause.Domain, d)
	told := &angzarr.RejectionNotification{
		Command: d.told(), Code: o.Code, Message: o.Message, Details: o.Details, Saga: origin.Saga,
	}
	book := &angzarr.CommandBook{
		Cover:         origin.Cause,
		Pages:         []*angzarr.CommandPage{{Command: &anypb.Any{TypeUrl: "type.googleapis.com/" + notificationName, Value: mustMarshal(told)}}},
		CommandId:     d.cause.CommandID + "/rejected",
		CorrelationId: d.correlationID(),
	}
	return CommandRecord(book, d.notify, d.cause)
}

// told is the rejected command. One that is too large keeps only its types.
func (d *decision) told() *angzarr.CommandBook {
	book := &angzarr.CommandBook{}
	if err := proto.Unmarshal(append(append([]byte(nil), d.encoded...), d.ids...), book); err != nil {
		panic("business: " + err.Error()) // it was read before
	}
	if d.cut || proto.Size(book) > mostTold {
		for _, p := range book.Pages {
			p.Command = &anypb.Any{TypeUrl: p.Command.TypeUrl}
		}
	}
	return book
}

// CommandRecord is a command as it is written to its domain's topic, which has so
// many partitions. The book must have passed [CheckCommands]. Of its cause it has
// the trace, the hops and who waits for an answer.
func CommandRecord(book *angzarr.CommandBook, partitions int32, cause log.Cause) log.Record {
	root := log.Root(book.Cover.Root.Value)
	headers := []log.Header{{Key: log.HeaderHops, Value: strconv.AppendUint(nil, uint64(cause.Hops), 10)}}
	if cause.Traceparent != "" {
		headers = append(headers, log.Header{Key: log.HeaderTraceparent, Value: []byte(cause.Traceparent)})
	}
	if cause.AnswerTo != "" {
		headers = append(headers, log.Header{Key: log.HeaderAnswerTo, Value: []byte(cause.AnswerTo)})
	}
	return log.Record{
		Topic: log.CommandsTopic(book.Cover.Domain), Partition: partitioning.Of(root, partitions),
		Key: root[:], Value: mustMarshal(book), Headers: headers,
	}
}
