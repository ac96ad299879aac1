package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/angzarr/angzarr-kafka/schema"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// printer shows books to people, and to programs as JSON. After a write that
// failed it writes nothing more and keeps the error.
type printer struct {
	ctx   context.Context // of the command that prints, to look types up
	out   io.Writer
	types *schema.Types
	err   error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

// textAnswer prints what a command led to.
func (p *printer) textAnswer(answer *pb.SynchronousProcessingResponse) error {
	pages := 0
	for _, book := range answer.GetBooks() {
		p.printf("%s %s\n", printable(book.GetCover().GetDomain()), rootText(book.GetCover().GetRoot()))
		p.textPages(book, "  ")
		pages += len(book.GetPages())
	}
	if pages == 0 {
		p.printf("accepted; it led to no events\n")
	}
	p.textSequel(answer)
	return p.err
}

// textPages prints a book's pages, a line each.
func (p *printer) textPages(book *pb.EventBook, margin string) {
	if s := book.GetSnapshot(); s != nil {
		p.printf("%s%4d  snapshot  %s\n", margin, s.GetSequence(), p.payload(s.GetState()))
	}
	for _, page := range book.GetPages() {
		p.printf("%s%4d  %s  %s\n", margin, page.GetNum(), timeText(page.GetCreatedAt()), p.payload(page.GetEvent()))
	}
	if e := book.GetErased(); e != nil {
		p.printf("%s%4d  %s  erased\n", margin, e.GetLastSequence(), timeText(e.GetErasedAt()))
	}
}

func (p *printer) payload(payload *anypb.Any) string {
	return schema.TypeName(payload) + "  " + p.types.Render(p.ctx, payload, "")
}

// timeText is a time to the millisecond, always of the same width.
func timeText(at *timestamppb.Timestamp) string {
	const layout = "2006-01-02T15:04:05.000Z"
	if at == nil {
		return fmt.Sprintf("%-*s", len(layout), "no time")
	}
	return at.AsTime().UTC().Format(layout)
}

// pageJSON is a page for programs. These names are a promise.
type pageJSON struct {
	Domain  string          `json:"domain,omitempty"`
	Root    string          `json:"root,omitempty"`
	Number  uint32          `json:"number"`
	Time    *time.Time      `json:"time,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"event,omitempty"` // where the type is known
	Raw     []byte          `json:"raw,omitempty"`   // base64, where it is not
}

// snapshotJSON is a snapshot for programs: it is told from a page by its key.
type snapshotJSON struct {
	Domain   string          `json:"domain"`
	Root     string          `json:"root"`
	Sequence uint32          `json:"snapshot_of"` // the last page that it covers
	Type     string          `json:"type"`
	Payload  json.RawMessage `json:"state,omitempty"`
	Raw      []byte          `json:"raw,omitempty"`
}

type bookJSON struct {
	Domain string     `json:"domain"`
	Root   string     `json:"root"`
	Pages  []pageJSON `json:"pages"`
}

type answerJSON struct {
	CommandID     string     `json:"command_id"`
	CorrelationID string     `json:"correlation_id"`
	Root          string     `json:"root"`
	Books         []bookJSON `json:"books"`
	sequelJSON
}

// jsonAnswer prints what a command led to as one object.
func (p *printer) jsonAnswer(s *sending, answer *pb.SynchronousProcessingResponse) error {
	shown := answerJSON{CommandID: s.id, CorrelationID: cmp.Or(s.correlation, s.id), Root: rootText(s.root), Books: []bookJSON{}}
	for _, book := range answer.GetBooks() {
		b := bookJSON{Domain: book.GetCover().GetDomain(), Root: rootText(book.GetCover().GetRoot()), Pages: []pageJSON{}}
		for _, page := range book.GetPages() {
			b.Pages = append(b.Pages, p.page(page))
		}
		shown.Books = append(shown.Books, b)
	}
	shown.sequelJSON = p.sequel(answer)
	p.json(shown)
	return p.err
}

// jsonPages prints a book's snapshot and pages, an object on a line each.
func (p *printer) jsonPages(book *pb.EventBook) {
	if s := book.GetSnapshot(); s != nil {
		j := snapshotJSON{
			Domain: book.GetCover().GetDomain(), Root: rootText(book.GetCover().GetRoot()),
			Sequence: s.GetSequence(), Type: schema.TypeName(s.GetState()),
		}
		j.Payload, j.Raw = p.either(s.GetState())
		p.json(j)
	}
	for _, page := range book.GetPages() {
		j := p.page(page)
		j.Domain, j.Root = book.GetCover().GetDomain(), rootText(book.GetCover().GetRoot())
		p.json(j)
	}
	if e := book.GetErased(); e != nil {
		at := e.GetErasedAt().AsTime().UTC()
		p.json(erasedJSON{
			Domain: book.GetCover().GetDomain(), Root: rootText(book.GetCover().GetRoot()), Erased: true,
			LastSequence: e.GetLastSequence(), Time: &at, Reason: e.GetReason(),
		})
	}
}

func (p *printer) page(page *pb.EventPage) pageJSON {
	j := pageJSON{Number: page.GetNum(), Type: schema.TypeName(page.GetEvent())}
	if page.GetCreatedAt() != nil {
		at := page.GetCreatedAt().AsTime().UTC()
		j.Time = &at
	}
	j.Payload, j.Raw = p.either(page.GetEvent())
	return j
}

// either returns a payload as JSON, or its bytes where its type is not known.
func (p *printer) either(payload *anypb.Any) (text json.RawMessage, raw []byte) {
	text, err := p.types.JSON(p.ctx, payload)
	if err != nil {
		return nil, payload.GetValue()
	}
	return text, nil
}

func (p *printer) json(v any) {
	if p.err != nil {
		return
	}
	encoder := json.NewEncoder(p.out)
	encoder.SetEscapeHTML(false)
	p.err = encoder.Encode(v)
}

// printable is text from elsewhere without what would steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) || r == '\n' {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
