package log

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/protobuf/proto"
)

// Sheet holds the records of a domain's transaction and the memory that they are
// made of, which the next one uses again.
type Sheet struct {
	Records []Record

	events, outcomes string // topics
	source           []byte // what makes the events, as CloudEvents have it

	headers []Header
	text    []byte // keys, values of headers, messages
}

// keep is how much text a sheet keeps for the next transaction.
const keep = 1 << 20

// NewSheet makes an empty sheet.
func NewSheet(domain string) *Sheet {
	return &Sheet{events: EventsTopic(domain), outcomes: OutcomesTopic(domain), source: []byte("angzarr/" + domain)}
}

// Reset empties the sheet. Nobody may read its records any more.
func (s *Sheet) Reset() {
	clear(s.Records) // their values are not the sheet's
	if cap(s.text) > keep {
		s.headers, s.text, s.Records = nil, nil, nil
	}
	s.Records, s.headers, s.text = s.Records[:0], s.headers[:0], s.text[:0]
}

// AddPage adds an event's record: a CloudEvent in binary mode.
func (s *Sheet) AddPage(p *Page, partition int32) {
	prefix, name := splitTypeURL(p.TypeURL)
	first := len(s.headers)
	s.headers = append(s.headers,
		Header{Key: headerContentType, Value: protobufContent},
		Header{Key: headerSpecVersion, Value: specVersion})
	at := len(s.text)
	s.text = strconv.AppendUint(append(p.Root.AppendText(s.text), '/'), uint64(p.Sequence), 10)
	s.header(headerID, at)
	s.headerString(headerType, name)
	s.headers = append(s.headers, Header{Key: headerCESource, Value: s.source})
	at = len(s.text)
	s.text = p.Root.AppendText(s.text)
	s.header(headerSubject, at)
	at = len(s.text)
	s.text = p.CreatedAt.UTC().AppendFormat(s.text, time.RFC3339Nano)
	s.header(headerTime, at)
	s.headerString(HeaderCommandID, p.Cause.CommandID)
	if p.Cause.CorrelationID != p.Cause.CommandID {
		s.headerString(HeaderCorrelationID, p.Cause.CorrelationID)
	}
	if p.Cause.Source != "" {
		s.headerString(HeaderSource, p.Cause.Source)
	}
	if p.Cause.Traceparent != "" {
		s.headerString(HeaderTraceparent, p.Cause.Traceparent)
	}
	if p.Cause.Hops > 0 {
		at = len(s.text)
		s.text = strconv.AppendUint(s.text, uint64(p.Cause.Hops), 10)
		s.header(HeaderHops, at)
	}
	if prefix != string(usualPrefix) {
		s.headerString(HeaderTypeURL, prefix)
	}
	if p.Cause.AnswerTo != "" {
		s.headerString(HeaderAnswerTo, p.Cause.AnswerTo)
	}
	if p.Synchronous {
		s.headers = append(s.headers, Header{Key: HeaderSynchronous, Value: headerTrue})
	}
	value := p.Value
	if value == nil {
		value = []byte{} // nil would be a tombstone
	}
	s.Records = append(s.Records, Record{
		Topic: s.events, Partition: partition,
		Key: s.pageKey(p.Root, p.Sequence), Value: value, Headers: s.headers[first:len(s.headers):len(s.headers)],
	})
}

// Encode makes the event's record alone.
func (p *Page) Encode(domain string, partition int32) Record {
	s := NewSheet(domain)
	s.AddPage(p, partition)
	return s.Records[0]
}

// AddSnapshot adds a root's snapshot.
func (s *Sheet) AddSnapshot(root Root, snapshot *angzarr.Snapshot, partition int32) {
	at := len(s.text)
	s.text = append(s.text, root[:]...)
	s.Records = append(s.Records, Record{Topic: s.events, Partition: partition, Key: s.from(at), Value: s.encode(snapshot)})
}

// AddErased adds the word that a root was erased.
func (s *Sheet) AddErased(root Root, erased *angzarr.Erased, partition int32) {
	s.Records = append(s.Records, Record{Topic: s.events, Partition: partition, Key: s.pageKey(root, 0), Value: s.encode(erased)})
}

// AddPageTombstone has a root's page be compacted away.
func (s *Sheet) AddPageTombstone(root Root, sequence uint32, partition int32) {
	s.Records = append(s.Records, Record{Topic: s.events, Partition: partition, Key: s.pageKey(root, sequence)})
}

// AddSnapshotTombstone does the same with a root's snapshot.
func (s *Sheet) AddSnapshotTombstone(root Root, partition int32) {
	s.Records = append(s.Records, Record{Topic: s.events, Partition: partition, Key: SnapshotKey(root)})
}

// AddOutcome adds what became of a command. The key is its root, nil if that
// could not be read.
func (s *Sheet) AddOutcome(key []byte, outcome *angzarr.Outcome, partition int32) {
	s.Records = append(s.Records, Record{Topic: s.outcomes, Partition: partition, Key: key, Value: s.encode(outcome)})
}

func (s *Sheet) encode(m proto.Message) []byte {
	at := len(s.text)
	text, err := proto.MarshalOptions{}.MarshalAppend(s.text, m)
	if err != nil {
		panic("log: " + err.Error()) // made by us, of what was unmarshalled
	}
	s.text = text
	return s.from(at)
}

func (s *Sheet) pageKey(root Root, sequence uint32) []byte {
	at := len(s.text)
	s.text = binary.BigEndian.AppendUint32(append(s.text, root[:]...), sequence)
	return s.from(at)
}

// from is the text from there on. What is appended later leaves it alone.
func (s *Sheet) from(at int) []byte { return s.text[at:len(s.text):len(s.text)] }

func (s *Sheet) header(key string, at int) {
	s.headers = append(s.headers, Header{Key: key, Value: s.from(at)})
}

func (s *Sheet) headerString(key, value string) {
	at := len(s.text)
	s.text = append(s.text, value...)
	s.header(key, at)
}
