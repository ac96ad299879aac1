package business

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func headers(keysAndValues ...string) (all []log.Header) {
	for i := 0; i < len(keysAndValues); i += 2 {
		all = append(all, log.Header{Key: keysAndValues[i], Value: []byte(keysAndValues[i+1])})
	}
	return all
}

func goodCommand(ids ...string) *angzarr.CommandBook {
	b := &angzarr.CommandBook{Cover: theCover(), Pages: []*angzarr.CommandPage{{Command: payload("C")}}}
	if len(ids) > 0 {
		b.CommandId, b.CorrelationId = ids[0], ids[1]
	}
	return b
}

func TestRead(t *testing.T) {
	foreign := goodCommand()
	foreign.Cover.Domain = strings.Repeat("\x01", 100_000)
	longID := goodCommand(strings.Repeat("x", 513), "")
	events := &angzarr.EventBook{Cover: theCover(), Pages: []*angzarr.EventPage{num(1, "a")}, CommandId: "e"}
	kind := headers(log.HeaderKind, log.KindEventBook)
	cases := []struct {
		name            string
		value           []byte
		headers         []log.Header
		id, correlation string
		code            codes.Code
		part            string
	}{
		{"no ids", mustMarshal(goodCommand()), nil, "t/1/2", "t/1/2", codes.OK, ""},
		{"the book's ids", mustMarshal(goodCommand("a", "b")), nil, "a", "b", codes.OK, ""},
		{"the headers' ids", mustMarshal(goodCommand()), headers(log.HeaderCommandID, "h", log.HeaderCorrelationID, "c"), "h", "c", codes.OK, ""},
		{"the book's go first", mustMarshal(goodCommand("a", "b")), headers(log.HeaderCommandID, "h", log.HeaderCorrelationID, "c"), "a", "b", codes.OK, ""},
		{"a correlation id alone", mustMarshal(goodCommand("", "b")), nil, "t/1/2", "b", codes.OK, ""},
		{"an empty header", mustMarshal(goodCommand()), headers(log.HeaderCommandID, ""), "t/1/2", "t/1/2", codes.OK, ""},
		{"a header that is no text", mustMarshal(goodCommand()), headers(log.HeaderCommandID, "\xff", log.HeaderCorrelationID, "\xff"), "t/1/2", "t/1/2", codes.OK, ""},
		{"a header that is too long", mustMarshal(goodCommand()), headers(log.HeaderCommandID, strings.Repeat("x", 513)), "t/1/2", "t/1/2", codes.OK, ""},
		{"events", mustMarshal(events), kind, "e", "e", codes.OK, ""},
		{"events without the header", mustMarshal(&angzarr.EventBook{Cover: theCover()}), nil, "t/1/2", "t/1/2", codes.InvalidArgument, "pages: "},
		{"commands with the header", mustMarshal(goodCommand("a", "b")), kind, "a", "b", codes.InvalidArgument, "pages"},
		{"an unknown kind", mustMarshal(goodCommand("a", "b")), headers(log.HeaderKind, "x"), "a", "b", codes.OK, ""},
		{"garbage", []byte("garbage"), headers(log.HeaderCommandID, "h"), "h", "h", codes.InvalidArgument, "no CommandBook"},
		{"garbage for events", []byte("garbage"), kind, "t/1/2", "t/1/2", codes.InvalidArgument, "no EventBook"},
		{"an empty value", []byte{}, nil, "t/1/2", "t/1/2", codes.InvalidArgument, "cover: "},
		{"no value", nil, nil, "t/1/2", "t/1/2", codes.InvalidArgument, "cover: "},
		{"another domain, at length", mustMarshal(foreign), nil, "t/1/2", "t/1/2", codes.InvalidArgument, "cover.domain: "},
		{"an id that is too long", mustMarshal(longID), nil, "t/1/2", "t/1/2", codes.InvalidArgument, "command_id: "},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			c, st := read("d", &log.Record{Topic: "t", Partition: 1, Offset: 2, Value: x.value, Headers: x.headers})
			wantStatus(t, st, x.code, x.part)
			if c.cause.CommandID != x.id || c.correlationID() != x.correlation || c.cause.Source != "t/1/2" {
				t.Errorf("cause %+v, want the ids %q and %q", c.cause, x.id, x.correlation)
			}
			if c.rooted != (st == nil) || c.rooted && c.root != theRoot {
				t.Errorf("root %s (%v)", c.root, c.rooted)
			}
			if st != nil && len(st.Message()) > 1000 {
				t.Errorf("the status has %d bytes", len(st.Message()))
			}
		})
	}
}

func TestReadHeaders(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC()
	good := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	cases := []struct {
		name, key, value string
		ok               func(*command) bool
	}{
		{"a partition of replies", log.HeaderReplyTo, "7", func(c *command) bool { return c.replyTo == 7 }},
		{"no number", log.HeaderReplyTo, "x", func(c *command) bool { return c.replyTo == -1 }},
		{"a negative number", log.HeaderReplyTo, "-7", func(c *command) bool { return c.replyTo == -1 }},
		{"a number that is too large", log.HeaderReplyTo, "2147483648", func(c *command) bool { return c.replyTo == -1 }},
		{"a deadline", log.HeaderDeadline, soon.Format(time.RFC3339Nano), func(c *command) bool {
			at, bounded := c.ctx.Deadline()
			return bounded && at.Equal(soon) && c.ctx.Err() == nil
		}},
		{"a deadline that has passed", log.HeaderDeadline, "2001-01-01T00:00:00Z", func(c *command) bool { return c.ctx.Err() == context.DeadlineExceeded }},
		{"no time", log.HeaderDeadline, "soon", func(c *command) bool { _, bounded := c.ctx.Deadline(); return !bounded }},
		{"a trace", log.HeaderTraceparent, good, func(c *command) bool { return c.cause.Traceparent == good }},
		{"a trace of a later version", log.HeaderTraceparent, "01" + good[2:] + "-more", func(c *command) bool { return c.cause.Traceparent != "" }},
		{"no trace", log.HeaderTraceparent, "00-x", func(c *command) bool { return c.cause.Traceparent == "" }},
		{"what gRPC would refuse", log.HeaderTraceparent, good + "\n", func(c *command) bool { return c.cause.Traceparent == "" }},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			c, st := read("d", &log.Record{Value: mustMarshal(goodCommand()), Headers: headers(x.key, x.value)})
			if st != nil || !x.ok(c) {
				t.Errorf("%v, %+v", st, c)
			}
		})
	}
}

// What business logic says may be anything; an outcome must be written.
func TestOutcomesAreBounded(t *testing.T) {
	long := strings.Repeat("no ", 1<<20)
	detailed, err := status.New(codes.Unknown, "x").WithDetails(&angzarr.EventBook{CommandId: strings.Repeat("x", 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	small, err := status.New(codes.NotFound, "why").WithDetails(&angzarr.EventBook{CommandId: "x"})
	if err != nil {
		t.Fatal(err)
	}
	record := &log.Record{Topic: "t", Value: []byte("value"), Headers: headers("mine", "kept")}
	for name, st := range map[string]*status.Status{
		"a long message": status.New(codes.Unknown, long), "no text": status.New(codes.Unknown, "a\xff\xfe"),
		"long details": detailed, "as usual": small,
	} {
		t.Run(name, func(t *testing.T) {
			d := &decision{command: &command{polled: record, cause: log.Cause{CommandID: "id"}, part: &part{claim: &partitioning.Claim{}}}, refused: st, dead: true}
			o := outcomeOf("d", d)
			if o.Code != int32(st.Code()) || !utf8.ValidString(o.Message) || proto.Size(o) > 200<<10 {
				t.Errorf("code %d, %d bytes", o.Code, proto.Size(o))
			}
			if name == "as usual" && (o.Message != "why" || len(o.Details) != 1) {
				t.Errorf("it was changed: %v", o)
			}
			w := &Worker{domain: log.Domain{Name: "d"}}
			letter := w.deadLetter(d, noon)
			if string(letter.Value) != "value" || string(letter.Header("mine")) != "kept" || letter.Size() > 20<<10 {
				t.Errorf("the dead letter has %d bytes: %q", letter.Size(), letter.Value)
			}
			d.cut = true
			letter = w.deadLetter(d, noon)
			if letter.Value == nil || len(letter.Value) != 0 || letter.Header("mine") != nil || string(letter.Header(log.HeaderDeadCut)) != "true" {
				t.Errorf("the dead letter that was cut: %+v", letter)
			}
			if string(letter.Key) != "t/0/0" || string(letter.Header(log.HeaderSource)) != "t/0/0" {
				t.Errorf("its key is %q", letter.Key)
			}
		})
	}
}

// FuzzRead reads whatever may lie in a commands topic: it must not panic, and
// what it makes of it must be fit to be written.
func FuzzRead(f *testing.F) {
	seed := func(value []byte, kind, id, correlation, trace, deadline string) {
		f.Add(value, kind, id, correlation, trace, deadline)
	}
	seed(mustMarshal(goodCommand("a", "b")), "", "", "", "", "")
	seed(mustMarshal(goodCommand()), "", "id", "correlation", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "2030-01-01T00:00:00Z")
	seed(mustMarshal(&angzarr.EventBook{Cover: theCover(), Pages: []*angzarr.EventPage{num(1, "a"), num(2, "b")}}), log.KindEventBook, "", "", "", "")
	seed([]byte("garbage"), log.KindEventBook, "\xff", "\xff", "\n", "x")
	seed(nil, "", "", "", "", "")
	f.Fuzz(func(t *testing.T, value []byte, kind, id, correlation, trace, deadline string) {
		r := &log.Record{Topic: "t", Value: value, Headers: headers(log.HeaderKind, kind, log.HeaderCommandID, id,
			log.HeaderCorrelationID, correlation, log.HeaderTraceparent, trace, log.HeaderDeadline, deadline)}
		c, st := read("d", r)
		d := &decision{command: c, refused: st}
		if st == nil {
			d.pages = []log.Page{{Root: c.root, Sequence: 1}}
			if c.record == nil {
				contextual(coverBefore("d"), bookWith(t, 0), c)
			} else if _, _, st := recorded("d", c, bookWith(t, 2), nil, noon, wide); st == nil && c.order.expected != 0 {
				t.Error("pages to record expect a number of a command")
			}
		} else if st.Code() != codes.InvalidArgument {
			t.Errorf("it is refused with %v", st)
		}
		mustMarshal(outcomeOf("d", d))
		if len(c.cause.CommandID) == 0 || len(c.cause.CommandID) > maxID || len(c.cause.CorrelationID) > maxID {
			t.Errorf("ids %q and %q", c.cause.CommandID, c.cause.CorrelationID)
		}
	})
}

// FuzzAnswer has business logic answer whatever it likes.
func FuzzAnswer(f *testing.F) {
	for _, b := range []*angzarr.EventBook{
		{},
		{Cover: theCover(), Pages: []*angzarr.EventPage{unnumbered("a"), unnumbered("b")}},
		{Pages: []*angzarr.EventPage{num(3, "a"), num(4, "b")}, Snapshot: &angzarr.Snapshot{State: payload("s")}},
		{Pages: []*angzarr.EventPage{{Event: &anypb.Any{TypeUrl: "x"}}}},
	} {
		f.Add(mustMarshal(b), uint32(2))
	}
	c := &command{root: theRoot, cause: log.Cause{CommandID: "a"}}
	f.Fuzz(func(t *testing.T, answer []byte, last uint32) {
		book := &angzarr.EventBook{}
		if proto.Unmarshal(answer, book) != nil {
			return
		}
		last %= 1 << 31
		pages, snapshot, st := number("d", c, book, last, noon, wide)
		if st != nil && (len(pages) > 0 || snapshot != nil) {
			t.Error("nonsense led to pages")
		}
		for i := range pages {
			r := pages[i].Encode("d", 0)
			p, err := log.DecodePage(&r)
			if err != nil {
				t.Fatalf("page %d of the answer can't be read back: %v", i, err)
			}
			if p.Sequence != last+uint32(i)+1 || p.TypeURL != book.Pages[i].Event.TypeUrl {
				t.Fatalf("page %d is read back as %+v", i, p)
			}
		}
		if snapshot != nil && snapshot.Sequence != last+uint32(len(pages)) {
			t.Errorf("the snapshot covers %d", snapshot.Sequence)
		}
	})
}
