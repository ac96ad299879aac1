package log

import (
	"strconv"
	"strings"
	"time"
)

// AnswerTo says who waits for what a command leads to. It goes with the command to
// its pages, and with what a saga makes of these to the next commands.
type AnswerTo struct {
	Partition int32     // of the replies topic, which the front door reads
	Tag       string    // of the call that waits there
	Sagas     uint32    // how many may still follow, one behind the other
	Until     time.Time // nobody waits any longer
}

// maxAnswerTo bounds what goes with every page.
const maxAnswerTo = 128

// String is what goes into [HeaderAnswerTo].
func (a AnswerTo) String() string {
	return strconv.Itoa(int(a.Partition)) + "/" + a.Tag + "/" +
		strconv.FormatUint(uint64(a.Sagas), 10) + "/" + strconv.FormatInt(a.Until.UnixMilli(), 10)
}

// ParseAnswerTo reads what String gives. Anything else is nobody.
func ParseAnswerTo(text string) (a AnswerTo, ok bool) {
	if len(text) > maxAnswerTo {
		return a, false
	}
	parts := strings.Split(text, "/")
	if len(parts) != 4 || parts[1] == "" {
		return a, false
	}
	partition, err := strconv.ParseUint(parts[0], 10, 31)
	if err != nil {
		return a, false
	}
	sagas, err := strconv.ParseUint(parts[2], 10, 32)
	if err != nil {
		return a, false
	}
	until, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil {
		return a, false
	}
	return AnswerTo{int32(partition), parts[1], uint32(sagas), time.UnixMilli(until)}, true
}

// Waiting reads it, if somebody still waits.
func Waiting(answerTo string, now time.Time) (a AnswerTo, ok bool) {
	if answerTo == "" {
		return a, false
	}
	a, ok = ParseAnswerTo(answerTo)
	return a, ok && now.Before(a.Until)
}

// BehindSaga is what goes with the commands that a saga makes of an event, "" if
// nobody waits for them.
func BehindSaga(answerTo string, now time.Time) string {
	a, ok := Waiting(answerTo, now)
	if !ok || a.Sagas == 0 {
		return ""
	}
	a.Sagas--
	return a.String()
}

// Record is what tells the front door. The kind is "" for an Outcome.
func (a AnswerTo) Record(kind string, value []byte) Record {
	r := Record{
		Topic: RepliesTopic, Partition: a.Partition, Value: value,
		Headers: []Header{{Key: HeaderReplyTag, Value: []byte(a.Tag)}},
	}
	if kind != "" {
		r.Headers = append(r.Headers, Header{Key: HeaderKind, Value: []byte(kind)})
	}
	return r
}
