package log_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

func header(key, value string) log.Header { return log.Header{Key: key, Value: []byte(value)} }

// letter is one with all that one may have.
func letter() log.DeadLetter {
	return log.DeadLetter{
		ID:  log.LetterID{Source: log.Source{Topic: "angzarr.d.commands", Partition: 3, Offset: 141}},
		Key: []byte{1, 2}, Value: []byte("value"),
		Headers:   []log.Header{header("mine", "kept"), header(log.HeaderSource, "of its own"), header("mine", "again")},
		CommandID: "c", Root: log.Root{1, 15: 2}, Rooted: true, NextPage: 7,
		Cause: "Internal", Message: "it broke", Attempts: 4, Time: time.Date(2026, 1, 31, 12, 0, 0, 5, time.UTC),
	}
}

func decoded(t *testing.T, r log.Record) log.DeadLetter {
	t.Helper()
	got, err := log.DecodeLetter(&r)
	if err != nil {
		t.Fatal(err)
	}
	got.Size = 0
	return got
}

func TestLetters(t *testing.T) {
	for name, change := range map[string]func(*log.DeadLetter){
		"with all":       func(*log.DeadLetter) {},
		"without a key":  func(l *log.DeadLetter) { l.Key = nil },
		"an empty key":   func(l *log.DeadLetter) { l.Key = []byte{} },
		"no value":       func(l *log.DeadLetter) { l.Value = nil },
		"an empty value": func(l *log.DeadLetter) { l.Value = []byte{} },
		"no headers":     func(l *log.DeadLetter) { l.Headers = nil },
		"no root":        func(l *log.DeadLetter) { l.Root, l.Rooted, l.NextPage = log.Root{}, false, 0 },
		"no command":     func(l *log.DeadLetter) { l.CommandID = "" },
		"a projector's":  func(l *log.DeadLetter) { l.ID.Reader = "angzarr.projector.p" },
	} {
		t.Run(name, func(t *testing.T) {
			want := letter()
			change(&want)
			r := want.Encode("d")
			if r.Value == nil {
				t.Error("its record is a tombstone")
			}
			if r.Topic != "angzarr.d.dead-letters" || r.Partition != 3 || string(r.Key) != want.ID.String() {
				t.Errorf("it stands at %s/%d/%s", r.Topic, r.Partition, r.Key)
			}
			if got := decoded(t, r); !reflect.DeepEqual(got, want) {
				t.Errorf("it is\n%+v, and was\n%+v", got, want)
			}
		})
	}
}

func TestALetterThatIsCut(t *testing.T) {
	l := letter()
	l.Cut = true
	r := l.Encode("d")
	got := decoded(t, r)
	if got.Key != nil || got.Value != nil || got.Headers != nil || !got.Cut || got.Message != l.Message || got.Root != l.Root {
		t.Errorf("it is %+v", got)
	}
}

func TestALetterThatIsDropped(t *testing.T) {
	l := letter()
	at := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	r := l.Drop("d", "a test", at)
	if r.Value != nil || string(r.Key) != l.ID.String() {
		t.Errorf("it is no tombstone: %+v", r)
	}
	got := decoded(t, r)
	if got.Dropped != "a test" || !got.Time.Equal(at) || got.Root != l.Root || got.Cause != l.Cause || got.CommandID != l.CommandID {
		t.Errorf("it says %+v", got)
	}
	done := l.ID.Done("d")
	if _, err := log.DecodeLetter(&done); err != log.ErrNoLetter {
		t.Errorf("one that somebody is done with: %v", err)
	}
}

func TestReplay(t *testing.T) {
	l := letter()
	l.Headers = append(l.Headers, header(log.HeaderReplyTo, "1"), header(log.HeaderReplyTag, "x/1"),
		header(log.HeaderDeadline, "2026-01-31T12:00:00Z"), header(log.HeaderCommandID, "of the header"), header(log.HeaderReplayOf, "t/0/0"))
	r := l.Replay()
	if r.Topic != "angzarr.d.commands" || r.Partition != 3 || string(r.Key) != "\x01\x02" || string(r.Value) != "value" {
		t.Errorf("it goes to %s/%d: %q, %q", r.Topic, r.Partition, r.Key, r.Value)
	}
	var keys []string
	for _, h := range r.Headers {
		keys = append(keys, h.Key)
	}
	if got := strings.Join(keys, " "); got != "mine angzarr-source mine angzarr-command-id angzarr-replay-of angzarr-replay-attempts" {
		t.Errorf("its headers are %s", got)
	}
	if id := string(r.Header(log.HeaderCommandID)); id != "c" {
		t.Errorf("its id is %q", id)
	}
	if id, attempts, ok := r.Replayed(); !ok || id != l.ID || attempts != 4 {
		t.Errorf("it is the replay of %s, tried %d times (%v)", id, attempts, ok)
	}
	// What fails again keeps nothing of the replay.
	again := log.DeadLetter{ID: l.ID, Key: r.Key, Value: r.Value, Headers: r.Headers}
	for _, h := range decoded(t, again.Encode("d")).Headers {
		if strings.HasPrefix(h.Key, "angzarr-replay") {
			t.Errorf("it keeps %s", h.Key)
		}
	}
}

func TestLetterIDs(t *testing.T) {
	for text, ok := range map[string]bool{
		"t/0/0": true, "t/1/2/angzarr.saga.s": true, "t/2147483647/9223372036854775807": true,
		"": false, "t": false, "t/1": false, "/1/2": false, "t/-1/2": false, "t/1/-2": false, "t/x/2": false, "t/1/x": false,
		"t/1/2/": false, "t/2147483648/0": false, "t/01/2": false, "t/1/+2": false,
	} {
		id, err := log.ParseLetterID(text)
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && id.String() != text {
			t.Errorf("%q is read as %q", text, id)
		}
	}
}

func FuzzDecodeLetter(f *testing.F) {
	l := letter()
	f.Add([]byte(l.ID.String()), []byte("x"), log.HeaderDeadTime, []byte("2026-01-31T12:00:00Z"))
	f.Add([]byte("t/1/2/g"), []byte(nil), log.HeaderDeadDropped, []byte("why"))
	f.Fuzz(func(t *testing.T, key, value []byte, name string, header []byte) {
		r := log.Record{Key: key, Value: value, Headers: []log.Header{{Key: name, Value: header}}}
		l, err := log.DecodeLetter(&r)
		if err != nil {
			return
		}
		again := l.Encode("d")
		if got := decoded(t, again); got.ID != l.ID || string(got.Value) != string(l.Value) {
			t.Errorf("%+v became %+v", l, got)
		}
	})
}
