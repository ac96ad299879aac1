package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// ask gives a command to a front door.
func (l *load) ask(t *try, deadline time.Duration, slot int) {
	t.Way = fmt.Sprint("door ", slot)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	t.Call = l.now()
	response, err := l.fleet.slots[slot].door.Handle(ctx, bookOf(l.domainOf(t), t))
	t.Return = l.now()
	t.answered(response, err, ctx.Err() != nil)
}

func (l *load) domainOf(t *try) string { return cmp.Or(t.Domain, l.domain) }

// call gives a command to a front door, and remembers what it was told.
func (l *load) call(to *target, t try, deadline time.Duration, slot int) result {
	l.ask(&t, deadline, slot)
	switch {
	case t.Result == acked:
		last := t.Pages[len(t.Pages)-1]
		e, _ := parseEvent(last.Event) // what is wrong with it the log will show
		to.learn(state{last.Number, e.Value})
	case t.Result == refused:
		to.learn(t.At)
	}
	l.history.add(t)
	return t.Result
}

// answered takes in an answer. What a caller's own library says when the deadline
// has passed is no word of the door's.
func (t *try) answered(response *pb.SynchronousProcessingResponse, err error, late bool) {
	st := status.Convert(err)
	t.Code, t.Said = st.Code(), st.Message()
	switch t.Code {
	case codes.OK:
		t.acknowledged(response)
	case codes.FailedPrecondition:
		t.Result = wrong
		if at, ok := refusedAt(t.Said); ok {
			t.Result, t.At = refused, at
		}
		if t.Wish != nil {
			t.Result = refused
		}
	case codes.NotFound:
		t.Result = wrong
		if t.Wish != nil && strings.HasPrefix(t.Said, "no such ") { // as the examples say it
			t.Result = refused
		}
	case codes.Aborted:
		t.Result = wrong
		if next, ok := actual(st); ok {
			t.Result, t.At = mismatched, state{Last: next - 1}
		}
	case codes.Unavailable, codes.Canceled:
		t.Result, t.Return = doubtful, forever
	case codes.DeadlineExceeded:
		if t.Result = unapplied; late {
			t.Result, t.Return = doubtful, forever
		}
	case codes.ResourceExhausted:
		t.Result = unapplied
	default:
		t.Result = wrong
	}
}

// acknowledged takes the pages of an answer. There is one book, of that root, and
// no order is accepted without a page.
func (t *try) acknowledged(response *pb.SynchronousProcessingResponse) {
	t.Result = wrong
	if len(response.GetBooks()) != 1 {
		t.Said = fmt.Sprintf("answered with %d books", len(response.GetBooks()))
		return
	}
	book := response.Books[0]
	if string(book.GetCover().GetRoot().GetValue()) != string(t.Root[:]) || book.CommandId != t.ID || len(book.Pages) == 0 {
		t.Said = fmt.Sprintf("answered with another book: %v", book)
		return
	}
	t.Result = acked
	for _, p := range book.Pages {
		t.Pages = append(t.Pages, page{p.GetNum(), textOf(p.Event)})
	}
}

// actual is the number of the next page, as a mismatch says it.
func actual(st *status.Status) (uint32, bool) {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.Reason == "SEQUENCE_MISMATCH" {
			n, err := strconv.ParseUint(info.Metadata["actual"], 10, 32)
			return uint32(n), err == nil && n > 0
		}
	}
	return 0, false
}

// produce writes a command to its topic, as any Kafka client may.
func (l *load) produce(t try) {
	t.Way = topicWay
	domain := l.domainOf(&t)
	value, err := proto.Marshal(bookOf(domain, &t))
	if err != nil {
		panic("chaos: " + err.Error()) // made here
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	t.Call, t.Return = l.now(), forever
	err = l.writer.Write(ctx, &log.Record{
		Topic: log.CommandsTopic(domain), Partition: partitioning.Of(t.Root, int32(l.o.Partitions)), Key: t.Root[:], Value: value,
	})
	if t.Result = produced; err != nil {
		t.Result, t.Said = doubtful, err.Error() // it may be there all the same
	}
	l.history.add(t)
}

// look asks a front door for the pages of a root.
func (l *load) look(to *target) {
	slot := int(l.now() % int64(len(l.fleet.slots)))
	t := try{Root: to.root, Way: fmt.Sprint("query at door ", slot), Result: seen}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	t.Call = l.now()
	pages, err := l.pages(ctx, slot, to.root)
	t.Return = l.now()
	if err != nil {
		return // it says nothing, and may be asked again
	}
	t.At, err = stateOf(&pb.EventBook{Pages: pages})
	if err != nil {
		t.Result, t.Said = wrong, err.Error()
	}
	l.history.add(t)
}

func (l *load) pages(ctx context.Context, slot int, root log.Root) (pages []*pb.EventPage, err error) {
	cover := coverOf(l.domain, root)
	stream, err := l.fleet.slots[slot].query.GetEvents(ctx, &pb.Query{Domain: cover.Domain, Root: cover.Root})
	for err == nil {
		var book *pb.EventBook
		if book, err = stream.Recv(); err == nil {
			pages = append(pages, book.Pages...)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return pages, err
}
