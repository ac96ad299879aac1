package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// letterTable prints a letter a line.
type letterTable struct {
	*printer
	begun bool
}

func (t *letterTable) row(l *pb.DeadLetter) {
	const line = "%-24s  %-19s  %5s  %-36s  %s\n"
	if !t.begun {
		t.begun = true
		t.printf(line, "TIME", "CAUSE", "TRIED", "ROOT", "LETTER")
	}
	root := "-"
	if l.Root != nil {
		root = rootText(l.Root)
	}
	t.printf(line, timeText(l.Time), printable(l.Cause), fmt.Sprint(l.Attempts), root, printable(l.Id))
	why := l.Message
	if l.Dropped != "" {
		why = "dropped: " + l.Dropped
	}
	t.printf("    %s\n", oneLine(why))
}

// oneLine is as much of a text as fits into a line.
func oneLine(text string) string {
	const most = 160
	text = printable(strings.Join(strings.Fields(text), " "))
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return text
}

// textLetter prints a letter with its record.
func (p *printer) textLetter(l *pb.DeadLetter) {
	field := func(name, value string) {
		if value = printable(strings.ReplaceAll(value, "\t", "    ")); value != "" {
			p.printf("%-10s %s\n", name, strings.ReplaceAll(value, "\n", "\n           "))
		}
	}
	field("letter", l.Id)
	if l.Root != nil {
		field("root", rootText(l.Root))
	}
	if l.NextPage > 0 {
		field("next page", fmt.Sprint(l.NextPage)+", when it was tried")
	}
	field("cause", l.Cause+": "+l.Message)
	field("tried", fmt.Sprintf("%d times, last at %s", l.Attempts, timeText(l.Time)))
	field("command", l.CommandId)
	field("reader", l.Reader)
	for _, h := range l.Record.GetHeaders() {
		value := printable(string(h.Value))
		if !utf8.Valid(h.Value) {
			value = fmt.Sprintf("%x", h.Value)
		}
		field("header", h.Key+" = "+value)
	}
	if l.Cut {
		p.printf("\nits record was too large to be kept with it; it stands at its source, as long as that is kept\n")
		return
	}
	p.printf("\n")
	p.textRecord(l)
}

// textRecord prints what a letter's record says, or its bytes.
func (p *printer) textRecord(l *pb.DeadLetter) {
	commands, events := readLetter(l)
	switch {
	case commands != nil:
		for _, page := range commands.Pages {
			p.printf("%s\n", p.payload(page.GetCommand()))
		}
	case events != nil:
		p.textPages(events, "")
	case l.Record.Value == nil:
		p.printf("the record has no value\n")
	default:
		const most = 256
		value := l.Record.Value
		p.printf("%d bytes that can't be read: %x", len(value), value[:min(most, len(value))])
		if len(value) > most {
			p.printf("…")
		}
		p.printf("\n")
	}
}

// readLetter reads what a letter's record holds, as far as that can be done: a
// book of commands, of pages to record, or of the one page of an events topic.
func readLetter(l *pb.DeadLetter) (*pb.CommandBook, *pb.EventBook) {
	r := log.Record{Key: l.Record.GetKey(), Value: l.Record.GetValue()}
	for _, h := range l.Record.GetHeaders() {
		r.Headers = append(r.Headers, log.Header{Key: h.Key, Value: h.Value})
	}
	if _, _, kind := log.ParseKey(r.Key); kind == log.KeyPage {
		if page, err := log.DecodePage(&r); err == nil {
			return nil, &pb.EventBook{Pages: []*pb.EventPage{page.Proto()}}
		}
		return nil, nil
	}
	if string(r.Header(log.HeaderKind)) == log.KindEventBook {
		book := &pb.EventBook{}
		if proto.Unmarshal(r.Value, book) == nil && len(book.Pages) > 0 {
			return nil, book
		}
		return nil, nil
	}
	book := &pb.CommandBook{}
	if proto.Unmarshal(r.Value, book) == nil && len(book.Pages) > 0 {
		return book, nil
	}
	return nil, nil
}

// letterJSON is a letter for programs. These names are a promise.
type letterJSON struct {
	Domain    string     `json:"domain"`
	Letter    string     `json:"letter"`
	Reader    string     `json:"reader,omitempty"`
	Root      string     `json:"root,omitempty"`
	NextPage  uint32     `json:"next_page,omitempty"`
	Cause     string     `json:"cause"`
	Message   string     `json:"message"`
	Attempts  uint32     `json:"attempts"`
	Time      time.Time  `json:"time"`
	CommandID string     `json:"command_id,omitempty"`
	Size      uint64     `json:"size"`
	Cut       bool       `json:"cut,omitempty"`
	Dropped   string     `json:"dropped,omitempty"`
	Headers   []string   `json:"headers,omitempty"`  // key=value
	Key       []byte     `json:"key,omitempty"`      // base64
	Value     []byte     `json:"value,omitempty"`    // base64
	Commands  []pageJSON `json:"commands,omitempty"` // what the value says, where it can be read
	Events    []pageJSON `json:"events,omitempty"`
}

func letterOf(l *pb.DeadLetter) letterJSON {
	j := letterJSON{
		Domain: l.Domain, Letter: l.Id, Reader: l.Reader, NextPage: l.NextPage, Cause: l.Cause, Message: l.Message,
		Attempts: l.Attempts, Time: l.Time.AsTime(), CommandID: l.CommandId, Size: l.Size, Cut: l.Cut, Dropped: l.Dropped,
	}
	if l.Root != nil {
		j.Root = rootText(l.Root)
	}
	return j
}

// wholeLetter is a letter with its record.
func (p *printer) wholeLetter(l *pb.DeadLetter) letterJSON {
	j := letterOf(l)
	j.Key, j.Value = l.Record.GetKey(), l.Record.GetValue()
	for _, h := range l.Record.GetHeaders() {
		j.Headers = append(j.Headers, h.Key+"="+strings.ToValidUTF8(string(h.Value), "�"))
	}
	commands, events := readLetter(l)
	for _, page := range commands.GetPages() {
		command := p.page(&pb.EventPage{Sequence: &pb.EventPage_Num{Num: page.GetSequence()}, Event: page.GetCommand()})
		j.Commands = append(j.Commands, command)
	}
	for _, page := range events.GetPages() {
		j.Events = append(j.Events, p.page(page))
	}
	return j
}
