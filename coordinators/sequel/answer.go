package sequel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// Reasons of ErrorInfo.
const (
	// ReasonCommitted says that the command is committed, although what it leads to
	// could not be waited for.
	ReasonCommitted  = "COMMITTED"
	ReasonNotInLog   = "NOT_IN_LOG"
	ReasonDeadLetter = "DEAD_LETTER"
)

// Answer waits for what a book leads to that was committed just now, or before if it
// is a repeat's, and gives all of it. The book is the worker's answer.
func (x *Gathering) Answer(ctx context.Context, book *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	at, repeat := Whereabouts(book)
	book.Position = nil
	answer := &angzarr.SynchronousProcessingResponse{Books: []*angzarr.EventBook{book}}
	of, ok := aggregateOf(book.Cover)
	if !ok || len(book.Pages) == 0 {
		return answer, nil
	}
	first := x.g.patience
	if repeat || x.tag == "" {
		first = 0 // nobody tells us
	}
	if repeat && at == 0 {
		at = -1
	}
	s, err := x.gather(ctx, stretch{
		aggregate: of, first: book.Pages[0].GetNum(), last: book.Pages[len(book.Pages)-1].GetNum(),
		at: at, sagas: uint32(x.g.c.Sagas),
	}, max(0, x.g.c.Answer-proto.Size(answer)), first)
	s.Books = append(answer.Books, s.Books...)
	if err != nil {
		return nil, s.late(err, book).Err()
	}
	return s.SynchronousProcessingResponse, nil
}

const (
	// mostDetails bounds a status's details: Python's client fails on trailers of
	// more than 8 KiB, and details travel in base64.
	mostDetails = 4 << 10
	// mostNamed bounds how many of those are named that are waited for.
	mostNamed = 5
)

// late says what is committed and what is still to come, when the caller's time is
// over.
func (s *sequel) late(ended error, book *angzarr.EventBook) *status.Status {
	of, _ := aggregateOf(book.Cover)
	first, last := book.Pages[0].GetNum(), book.Pages[len(book.Pages)-1].GetNum()
	waits := s.waits()
	for i := range s.wants {
		s.Undone = append(s.Undone, s.wants[i].undone(angzarr.Undone_REASON_WAITS))
	}
	info := &errdetails.ErrorInfo{Domain: "angzarr", Reason: ReasonCommitted, Metadata: map[string]string{
		"command_id": book.CommandId, "waits_for": waits,
		"first_page": strconv.FormatUint(uint64(first), 10), "last_page": strconv.FormatUint(uint64(last), 10),
	}}
	if len(info.Metadata["command_id"]) > mostDetails/4 {
		delete(info.Metadata, "command_id")
	}
	st := status.Newf(codeOf(ended),
		"the command is committed, as pages %d to %d of %s/%s, and its answer would have had to wait longer, for %s", first, last, of.domain, of.root, waits)
	details := []protoadapt.MessageV1{info}
	if answer := s.SynchronousProcessingResponse; proto.Size(info)+proto.Size(answer) < mostDetails-256 {
		details = append(details, protoadapt.MessageV1Of(answer))
	} else {
		info.Metadata["answer"] = "omitted"
	}
	return withDetails(st, details...)
}

func codeOf(ended error) codes.Code {
	if errors.Is(ended, context.Canceled) {
		return codes.Canceled
	}
	return codes.DeadlineExceeded
}

func withDetails(st *status.Status, details ...protoadapt.MessageV1) *status.Status {
	st, err := st.WithDetails(details...)
	if err != nil {
		panic("sequel: " + err.Error()) // made here
	}
	return st
}

// waits names what is waited for.
func (s *sequel) waits() string {
	var all []string
	for i := range s.wants {
		w := &s.wants[i]
		if i == mostNamed {
			all = append(all, fmt.Sprintf("%d more", len(s.wants)-i))
			break
		}
		if w.command != "" {
			all = append(all, start("command "+w.command))
		} else {
			all = append(all, start(fmt.Sprintf("%s of pages %d to %d of %s/%s", w.reader, w.first, w.last, w.domain, w.root)))
		}
	}
	return strings.Join(all, ", ")
}

func start(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// Untold gathers for pages that nobody was asked to tell of.
func (g *Gatherer) Untold() *Gathering {
	return &Gathering{g: g, until: time.Now().Add(longest), news: make(chan struct{}, 1)}
}
