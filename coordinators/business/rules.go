package business

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// limits bound what is decided.
type limits struct {
	openBook int // bytes of an open book that goes to business logic
	answer   int // bytes of what business logic answers
	page     int // bytes of an event's record
	waiting  int // commands that wait at the same time

	eraseAtOnce int // tombstones in one transaction of an erasure
}

// maxPages bounds what one command leads to: its transaction holds all of them.
const maxPages = 20_000

// objection is why a command can't be applied.
type objection struct {
	status *status.Status
	dead   bool // a polled command becomes a dead letter
}

// precheck decides what needs no business logic: it gives the reason why a
// command can't be applied to that book, nil if it can.
func precheck(domain string, c *command, book *snapshots.Book, l limits) *objection {
	switch {
	case book.Err() != nil:
		return &objection{status.Newf(codes.DataLoss, "%v; it takes no commands until that is mended", book.Err()), true}
	case book.Erased():
		return &objection{erased(domain, c.root), false}
	}
	if expected := c.order.expected; expected != 0 && expected != book.Last()+1 {
		return &objection{sequenceMismatch(domain, c.root, expected, book), false}
	}
	if c.record == nil && book.Size() > l.openBook {
		return &objection{bookTooLarge(domain, c.root, book.Size(), l.openBook), true}
	}
	return nil
}

// cannotErase says why a root can't be erased, nil if it can.
func cannotErase(domain string, root log.Root, book *snapshots.Book) *status.Status {
	switch {
	case book.Err() != nil:
		return status.Newf(codes.DataLoss, "%v; it can't be erased before that is mended", book.Err())
	case book.Last() == 0 && !book.Erased():
		return status.Newf(codes.NotFound, "nothing was ever written to %s/%s, so there is nothing to erase", domain, root)
	}
	return nil
}

// number makes pages of what business logic answered. last is the number of the
// aggregate's last page.
func number(domain string, c *command, answered *angzarr.EventBook, last uint32, now time.Time, l limits) ([]log.Page, *angzarr.Snapshot, *status.Status) {
	if st := checkAnswer(domain, c.root, answered, last); st != nil {
		return nil, nil, status.Newf(codes.Internal, "business logic answered nonsense: %s", st.Message())
	}
	pages, st := makePages(domain, c, answered.Pages, last, now, l)
	if st != nil {
		return nil, nil, st
	}
	return pages, snapshotOf(answered, last+uint32(len(pages)), l), nil
}

// snapshotOf takes the snapshot that came with an answer, nil if there is none
// that can be kept: one of no pages, or one that its topic has no room for.
// Without it the open book stays long, and the command is safe.
func snapshotOf(answered *angzarr.EventBook, last uint32, l limits) *angzarr.Snapshot {
	if answered.Snapshot == nil || last == 0 {
		return nil
	}
	s := &angzarr.Snapshot{Sequence: last, State: answered.Snapshot.State}
	if proto.Size(s) > l.page {
		return nil
	}
	return s
}

// CheckAnswer says why a worker would take business logic's answer for nonsense, nil
// if it wouldn't: for who tries business logic without one. cover is the command's,
// last the number of the aggregate's last page.
func CheckAnswer(cover *angzarr.Cover, answered *angzarr.EventBook, last uint32) *status.Status {
	if st := checkCover(cover); st != nil {
		return st
	}
	return checkAnswer(cover.Domain, log.Root(cover.Root.Value), answered, last)
}

func checkAnswer(domain string, root log.Root, answered *angzarr.EventBook, last uint32) *status.Status {
	if cover := answered.Cover; cover != nil {
		if cover.Domain != domain || !bytes.Equal(cover.GetRoot().GetValue(), root[:]) {
			return invalid("cover", fmt.Sprintf("is of another aggregate than the command's, %s/%s", domain, root))
		}
	}
	if st := checkPages(answered.Pages); st != nil {
		return st
	}
	if len(answered.Pages) > 0 {
		if num, ok := answered.Pages[0].Sequence.(*angzarr.EventPage_Num); ok && num.Num != last+1 {
			return invalid("pages[0].num", fmt.Sprintf("is %d, but the next page is %d", num.Num, last+1))
		}
	}
	if answered.Snapshot != nil && !typed(answered.Snapshot.State) {
		return invalid("snapshot.state", "is missing, or has no type URL")
	}
	return nil
}

// makePages numbers pages from last+1 on.
func makePages(domain string, c *command, from []*angzarr.EventPage, last uint32, now time.Time, l limits) ([]log.Page, *status.Status) {
	if len(from) > maxPages {
		return nil, status.Newf(codes.ResourceExhausted, "there are %d pages, more than a transaction holds (%d)", len(from), maxPages)
	}
	pages := make([]log.Page, len(from))
	cause := c.cause
	cause.CorrelationID = c.correlationID()
	synchronous := c.order.synchronous
	size := aroundPages + len(domain) + len(cause.CommandID) + len(cause.CorrelationID)
	for i, p := range from {
		pages[i] = log.Page{
			Root: c.root, Sequence: last + 1 + uint32(i), CreatedAt: now,
			TypeURL: p.Event.TypeUrl, Value: p.Event.Value,
			Synchronous: synchronous || p.Synchronous, Cause: cause,
		}
		if p.CreatedAt != nil {
			pages[i].CreatedAt = p.CreatedAt.AsTime()
		}
		if n := len(p.Event.Value) + len(p.Event.TypeUrl); n > l.page {
			return nil, tooLarge("pages["+strconv.Itoa(i)+"].event", n, "the topic "+log.EventsTopic(domain)+" (max.message.bytes, less what headers take)", l.page)
		}
		size += len(p.Event.Value) + len(p.Event.TypeUrl) + aroundPage
	}
	if size > l.answer {
		return nil, tooLarge("the answer, with the numbers and times of its pages,", size, "limits.answer", l.answer)
	}
	return pages, nil
}

const (
	// aroundPage is the most that a page takes in an answer beside its type and
	// its event: number, time, synchronous, and the tags and lengths around them.
	aroundPage = 64
	// aroundPages is the most that an answer takes beside its pages, its domain
	// and its ids.
	aroundPages = 64
)

// recorded decides on pages that are to be recorded. Those that are there
// already (there, see [overlap]) must be the same, byte for byte; they are given back as a repeat if
// nothing is new.
func recorded(domain string, c *command, book *snapshots.Book, there []*angzarr.EventPage, now time.Time, l limits) ([]log.Page, *angzarr.EventBook, *status.Status) {
	first, numbered := firstNumber(c.record)
	if !numbered {
		pages, st := makePages(domain, c, c.record.Pages, book.Last(), now, l)
		return pages, nil, st
	}
	if first > book.Last()+1 {
		return nil, nil, sequenceMismatch(domain, c.root, first, book)
	}
	for i, stored := range there {
		if given := c.record.Pages[i]; !proto.Equal(given.Event, stored.Event) {
			return nil, nil, withBook(
				map[string]string{"expected": strconv.FormatUint(uint64(first), 10), "actual": strconv.FormatUint(uint64(book.Last()+1), 10)},
				fmt.Sprintf("pages[%d]: page %d of %s/%s is there already, with another event", i, first+uint32(i), domain, c.root),
				domain, c.root, book)
		}
	}
	if fresh := c.record.Pages[len(there):]; len(fresh) > 0 {
		pages, st := makePages(domain, c, fresh, book.Last(), now, l)
		return pages, nil, st
	}
	return nil, &angzarr.EventBook{Pages: there}, nil
}

// overlap says which pages of the aggregate a book to record speaks of again.
func overlap(record *angzarr.EventBook, last uint32) (from, to uint32, any bool) {
	first, numbered := firstNumber(record)
	if !numbered || first > last {
		return 0, 0, false
	}
	return first, min(last, first+uint32(len(record.Pages))-1), true
}

func firstNumber(record *angzarr.EventBook) (uint32, bool) {
	num, ok := record.Pages[0].Sequence.(*angzarr.EventPage_Num)
	if !ok {
		return 0, false
	}
	return num.Num, true
}
