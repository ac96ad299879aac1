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

// usualPrefix is the type URL's prefix that needs no header.
const usualPrefix = "type.googleapis.com/"

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
}

var (
	protobufContent = []byte("application/protobuf")
	specVersion     = []byte("1.0")
	headerTrue      = []byte("true")
)

// DecodePage reads an event's record. The key must be a page's.
func DecodePage(r *Record) (Page, error) {
	root, sequence, kind := ParseKey(r.Key)
	if kind != KeyPage {
		return Page{}, fmt.Errorf("a key of %d bytes is no page's", len(r.Key))
	}
	p := Page{Root: root, Sequence: sequence, Value: r.Value, Offset: r.Offset, CreatedAt: r.Time}
	prefix, name := usualPrefix, ""
	var err error
	for i := range r.Headers {
		value := r.Headers[i].Value
		switch r.Headers[i].Key {
		case headerType:
			name = string(value)
		case headerTime:
			if p.CreatedAt, err = time.Parse(time.RFC3339Nano, string(value)); err != nil {
				return Page{}, fmt.Errorf("page %s/%d: header %s: %w", root, sequence, headerTime, err)
			}
		case HeaderTypeURL:
			prefix = string(value)
		case HeaderSynchronous:
			p.Synchronous = string(value) == "true"
		case HeaderCommandID:
			p.Cause.CommandID = string(value)
		case HeaderCorrelationID:
			p.Cause.CorrelationID = string(value)
		case HeaderSource:
			p.Cause.Source = string(value)
		case HeaderTraceparent:
			p.Cause.Traceparent = string(value)
		case HeaderHops:
			p.Cause.Hops = parseUint32(value)
		}
	}
	if name == "" {
		return Page{}, fmt.Errorf("page %s/%d: header %s is missing", root, sequence, headerType)
	}
	p.TypeURL = prefix + name
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
