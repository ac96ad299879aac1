package log

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Page is one event as it stands in the log.
type Page struct {
	Root        Root
	Sequence    uint32
	CreatedAt   time.Time
	TypeURL     string
	Value       []byte
	Synchronous bool

	// Cause is the command that led to the page.
	Cause Cause
	// Offset is where the page stands in its partition, once it was read.
	Offset int64
}

// Cause is what a page knows of the command that led to it.
type Cause struct {
	CommandID     string
	CorrelationID string
	Source        string // topic/partition/offset, "" for a gRPC call
	Traceparent   string
	Hops          uint32
	AnswerTo      string // who waits for what the page leads to, "" if nobody does
}

var (
	// usualPrefix is the type URL's prefix that needs no header.
	usualPrefix = []byte("type.googleapis.com/")

	protobufContent = []byte("application/protobuf")
	specVersion     = []byte("1.0")
	headerTrue      = []byte("true")
)

// RawPage is a page in the bytes of its record, of which nothing is copied: for
// those who read millions and keep none.
type RawPage struct {
	Root        Root
	Sequence    uint32
	CreatedAt   time.Time
	Prefix      []byte // of the type URL; the rest is the name
	Name        []byte
	Value       []byte
	Synchronous bool
	CommandID   []byte
}

// ReadPage reads an event's record. The key must be a page's.
func ReadPage(r *Record) (RawPage, error) {
	root, sequence, kind := ParseKey(r.Key)
	if kind != KeyPage {
		return RawPage{}, fmt.Errorf("a key of %d bytes is no page's", len(r.Key))
	}
	p := RawPage{Root: root, Sequence: sequence, Prefix: usualPrefix, Value: r.Value, CreatedAt: r.Time}
	for i := range r.Headers {
		value := r.Headers[i].Value
		switch r.Headers[i].Key {
		case headerType:
			p.Name = value
		case headerTime:
			if err := p.CreatedAt.UnmarshalText(value); err == nil {
				continue
			}
			var err error // UnmarshalText is stricter, and allocates nothing
			if p.CreatedAt, err = time.Parse(time.RFC3339Nano, string(value)); err != nil {
				return RawPage{}, fmt.Errorf("page %s/%d: header %s: %w", root, sequence, headerTime, err)
			}
		case HeaderTypeURL:
			p.Prefix = value
		case HeaderSynchronous:
			p.Synchronous = string(value) == "true"
		case HeaderCommandID:
			p.CommandID = value
		}
	}
	if len(p.Name) == 0 {
		return RawPage{}, fmt.Errorf("page %s/%d: header %s is missing", root, sequence, headerType)
	}
	return p, nil
}

// DecodePage reads an event's record, as [ReadPage], with all that it knows of its
// cause.
func DecodePage(r *Record) (Page, error) {
	raw, err := ReadPage(r)
	if err != nil {
		return Page{}, err
	}
	p := Page{
		Root: raw.Root, Sequence: raw.Sequence, CreatedAt: raw.CreatedAt, Value: raw.Value, Synchronous: raw.Synchronous,
		TypeURL: string(raw.Prefix) + string(raw.Name), Cause: Cause{CommandID: string(raw.CommandID)}, Offset: r.Offset,
	}
	for i := range r.Headers {
		value := r.Headers[i].Value
		switch r.Headers[i].Key {
		case HeaderCorrelationID:
			p.Cause.CorrelationID = string(value)
		case HeaderSource:
			p.Cause.Source = string(value)
		case HeaderTraceparent:
			p.Cause.Traceparent = string(value)
		case HeaderHops:
			p.Cause.Hops = parseUint32(value)
		case HeaderAnswerTo:
			p.Cause.AnswerTo = string(value)
		}
	}
	if p.Cause.CorrelationID == "" {
		p.Cause.CorrelationID = p.Cause.CommandID
	}
	return p, nil
}

// Proto gives the page as the contract has it.
func (p *Page) Proto() *angzarr.EventPage {
	return &angzarr.EventPage{
		Sequence:    &angzarr.EventPage_Num{Num: p.Sequence},
		CreatedAt:   timestamppb.New(p.CreatedAt),
		Event:       &anypb.Any{TypeUrl: p.TypeURL, Value: p.Value},
		Synchronous: p.Synchronous,
	}
}

// splitTypeURL parts a type URL behind its last slash, as protobuf's Any
// defines it.
func splitTypeURL(url string) (prefix, name string) {
	i := strings.LastIndexByte(url, '/') + 1
	return url[:i], url[i:]
}

// parseUint32 reads a number that this package wrote; anything else is 0.
func parseUint32(b []byte) uint32 {
	n, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
