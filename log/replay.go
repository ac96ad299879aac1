package log

import (
	"slices"
	"strconv"
)

// Replay makes the record again, to be written to its topic: with its first id,
// and without what concerned only its first way there, as who waited for a reply
// does no more. Whoever handles it is done with the letter in the same
// transaction, or leaves it again, as the same one.
//
// The partition is the source's.
func (l *DeadLetter) Replay() Record {
	headers := slices.DeleteFunc(slices.Clone(l.Headers), func(h Header) bool {
		switch h.Key {
		case HeaderReplyTo, HeaderReplyTag, HeaderAnswerTo, HeaderDeadline:
			return true
		case HeaderCommandID:
			return l.CommandID != ""
		}
		return own(h.Key)
	})
	if l.CommandID != "" {
		headers = append(headers, Header{Key: HeaderCommandID, Value: []byte(l.CommandID)})
	}
	return Record{
		Topic: l.ID.Source.Topic, Partition: l.ID.Source.Partition, Key: l.Key, Value: l.Value,
		Headers: append(headers,
			Header{Key: HeaderReplayOf, Value: []byte(l.ID.String())},
			Header{Key: HeaderReplayAttempts, Value: []byte(strconv.Itoa(l.Attempts))}),
	}
}

// Replayed says of which letter a record is the replay, and how often it was tried
// before. Ok is false for all others.
func (r *Record) Replayed() (id LetterID, attempts int, ok bool) {
	of := r.Header(HeaderReplayOf)
	if of == nil {
		return id, 0, false
	}
	id, err := ParseLetterID(string(of))
	if err != nil {
		return id, 0, false
	}
	// No number is none before.
	return id, int(parseUint32(r.Header(HeaderReplayAttempts))), true
}
