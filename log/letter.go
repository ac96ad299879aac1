package log

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Source names a record, as topic/partition/offset.
type Source struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Source is where the record stands.
func (r *Record) Source() Source { return Source{r.Topic, r.Partition, r.Offset} }

func (s Source) String() string {
	return s.Topic + "/" + strconv.Itoa(int(s.Partition)) + "/" + strconv.FormatInt(s.Offset, 10)
}

// LetterID names a dead letter: where its record stands, or stood, and who could
// not do it. It is the letter's key, so that the same record is one letter for
// each of its readers, however often they fail.
type LetterID struct {
	Source Source
	// Reader is the consumer group of a projector or a saga. It is empty for
	// what a domain's own workers could not do: commands.
	Reader string
}

func (id LetterID) String() string {
	if id.Reader == "" {
		return id.Source.String()
	}
	return id.Source.String() + "/" + id.Reader
}

// ParseLetterID reads what String gives.
func ParseLetterID(text string) (LetterID, error) {
	parts := strings.SplitN(text, "/", 4)
	wrong := func() (LetterID, error) {
		return LetterID{}, fmt.Errorf("%q names no dead letter: want topic/partition/offset, and after that /group if it is a projector's or a saga's", text)
	}
	if len(parts) < 3 || parts[0] == "" || len(parts) == 4 && parts[3] == "" {
		return wrong()
	}
	partition, err := strconv.ParseUint(parts[1], 10, 31)
	if err != nil {
		return wrong()
	}
	offset, err := strconv.ParseUint(parts[2], 10, 63)
	if err != nil {
		return wrong()
	}
	id := LetterID{Source: Source{parts[0], int32(partition), int64(offset)}}
	if len(parts) == 4 {
		id.Reader = parts[3]
	}
	if id.String() != text {
		return wrong() // else one letter would have two names
	}
	return id, nil
}

// Done is the tombstone of a letter that somebody is done with.
func (id LetterID) Done(domain string) Record {
	return Record{Topic: DeadLettersTopic(domain), Partition: id.Source.Partition, Key: []byte(id.String())}
}

// DeadLetter is a record that could not be done, as it was, and what is known
// about why. It stands in its domain's dead-letters topic, in the partition of
// the same number as the record's, until somebody is done with it.
type DeadLetter struct {
	ID LetterID

	// Key, Value and Headers are the record's. Nil is what it didn't have.
	Key, Value []byte
	Headers    []Header
	// Cut says that a letter with all of these would have been too large: they
	// are left out, and stand at the source for as long as that lasts.
	Cut bool

	CommandID string // as it was read first; "" for what is no command
	Root      Root
	Rooted    bool   // the root could be read
	NextPage  uint32 // the root's next page then, 0 where it isn't known
	Cause     string // a gRPC code's name
	Message   string // what went wrong
	Attempts  int    // how often it was tried, replays included
	Time      time.Time

	// Asked says that its reader is to handle it again; Base is where the letter
	// stood then, before that was written.
	Asked bool
	Base  int64
	// At is the offset at which it stands itself, of one that was read.
	At int64

	// Dropped is why somebody gave the letter up. Of one that was dropped all
	// else is left out but for its root, its cause, its command and the time.
	Dropped string
	// Size is about what it takes in the topic, in bytes.
	Size int
}

// own says whether a header is a dead letter's, and not the record's.
func own(header string) bool {
	return strings.HasPrefix(header, prefixDead) || header == HeaderReplayOf || header == HeaderReplayAttempts
}

// Encode makes the letter's record. What the record was replayed with is left out.
func (l *DeadLetter) Encode(domain string) Record {
	r := l.ID.Done(domain)
	r.Value = l.Value
	add := func(key, value string) { r.Headers = append(r.Headers, Header{Key: key, Value: []byte(value)}) }
	if l.Cut {
		r.Value = nil
		add(HeaderDeadCut, "true")
	} else {
		r.Headers = slices.DeleteFunc(slices.Clone(l.Headers), func(h Header) bool { return own(h.Key) })
		if l.Key != nil {
			add(HeaderDeadKey, string(l.Key))
		}
		if l.Value == nil {
			add(HeaderDeadNoValue, "true")
		}
	}
	if r.Value == nil {
		r.Value = []byte{} // nil would be a tombstone
	}
	add(HeaderSource, l.ID.Source.String())
	add(HeaderDeadCause, l.Cause)
	add(HeaderDeadMessage, l.Message)
	add(HeaderDeadTime, l.Time.UTC().Format(time.RFC3339Nano))
	add(HeaderDeadAttempts, strconv.Itoa(l.Attempts))
	if l.Rooted {
		add(HeaderDeadRoot, l.Root.String())
	}
	if l.NextPage > 0 {
		add(HeaderDeadNextPage, strconv.FormatUint(uint64(l.NextPage), 10))
	}
	if l.CommandID != "" {
		add(HeaderDeadCommandID, l.CommandID)
	}
	if l.Asked {
		add(HeaderDeadReplay, strconv.FormatInt(l.Base, 10))
	}
	return r
}

// Ask makes the record by which a projector or a saga is asked to handle the letter
// again: the same letter, which says so. Who owns the partition in the reader's
// group is done with it in the transaction that has what it leads to, or leaves it
// again.
func (l *DeadLetter) Ask(domain string) Record {
	asked := *l
	asked.Asked, asked.Base = true, l.At
	return asked.Encode(domain)
}

// Record is the letter's record, as it stood where it came from.
func (l *DeadLetter) Record() Record {
	at := l.ID.Source
	return Record{Topic: at.Topic, Partition: at.Partition, Offset: at.Offset, Key: l.Key, Value: l.Value, Headers: l.Headers}
}

// Drop makes the tombstone that says why the letter was given up. What it says can
// be read for as long as the topic keeps tombstones (delete.retention.ms).
func (l *DeadLetter) Drop(domain, reason string, at time.Time) Record {
	given := DeadLetter{
		ID: l.ID, Cut: true, Cause: l.Cause, Attempts: l.Attempts,
		Root: l.Root, Rooted: l.Rooted, CommandID: l.CommandID, Time: at,
	}
	r := given.Encode(domain)
	r.Value = nil
	r.Headers = append(r.Headers, Header{Key: HeaderDeadDropped, Value: []byte(reason)})
	return r
}

// ErrNoLetter says that a record is the tombstone of a letter that somebody is
// done with.
var ErrNoLetter = errors.New("somebody is done with the dead letter")

// DecodeLetter reads a record of a dead-letters topic.
func DecodeLetter(r *Record) (DeadLetter, error) {
	l := DeadLetter{Value: r.Value, Time: r.Time, Size: r.Size(), At: r.Offset}
	var err error
	if l.ID, err = ParseLetterID(string(r.Key)); err != nil {
		return l, err
	}
	none := false
	for _, h := range r.Headers {
		if h.Key == HeaderDeadNoValue {
			none = true
		} else if err := l.take(h); err != nil {
			return l, fmt.Errorf("dead letter %s: header %s: %w", l.ID, h.Key, err)
		}
	}
	if n := len(l.Headers) - 1; n >= 0 && l.Headers[n].Key == HeaderSource {
		l.Headers = l.Headers[:n] // Encode's
		if n == 0 {
			l.Headers = nil
		}
	}
	if none || l.Cut {
		l.Value = nil
	}
	if r.Value == nil && l.Dropped == "" {
		return l, ErrNoLetter
	}
	return l, nil
}

// take reads one header.
func (l *DeadLetter) take(h Header) (err error) {
	value := string(h.Value)
	switch h.Key {
	case HeaderDeadKey:
		l.Key = h.Value
	case HeaderDeadCut:
		l.Cut = true
	case HeaderDeadCause:
		l.Cause = value
	case HeaderDeadMessage:
		l.Message = value
	case HeaderDeadTime:
		l.Time, err = time.Parse(time.RFC3339Nano, value)
	case HeaderDeadAttempts:
		l.Attempts, err = strconv.Atoi(value)
	case HeaderDeadRoot:
		l.Root, err = ParseRoot(value)
		l.Rooted = err == nil
	case HeaderDeadNextPage:
		l.NextPage = parseUint32(h.Value)
	case HeaderDeadCommandID:
		l.CommandID = value
	case HeaderDeadReplay:
		l.Asked = true
		l.Base, err = strconv.ParseInt(value, 10, 64)
	case HeaderDeadDropped:
		l.Dropped = value
	default:
		l.Headers = append(l.Headers, h)
	}
	return err
}

// Of says whether the letter is about the root, as far as can be told: what could
// not be read may have it as its key.
func (l *DeadLetter) Of(root Root) bool {
	if l.Rooted {
		return l.Root == root
	}
	return string(l.Key) == string(root[:])
}
