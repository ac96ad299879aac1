package query_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/angzarr/angzarr-kafka/coordinators/query"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// follower is a caller of Synchronize.
type follower struct {
	*testing.T
	stream grpc.BidiStreamingClient[angzarr.Query, angzarr.EventBook]
	end    context.CancelFunc
	last   []byte // position of the last book
}

func (w *world) follow(door angzarr.EventQueryClient, queries ...*angzarr.Query) *follower {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	w.Cleanup(cancel)
	stream, err := door.Synchronize(ctx)
	if err != nil {
		w.Fatal(err)
	}
	f := &follower{w.T, stream, cancel, nil}
	for _, q := range queries {
		f.ask(q)
	}
	return f
}

func (f *follower) ask(q *angzarr.Query) {
	f.Helper()
	if err := f.stream.Send(q); err != nil {
		f.Fatal(err)
	}
}

func (f *follower) next() *angzarr.EventBook {
	f.Helper()
	book, err := f.stream.Recv()
	if err != nil {
		f.Fatal(err)
	}
	if len(book.Position) == 0 {
		f.Errorf("a book without a position: %v", book)
	}
	f.last = book.Position
	return book
}

// pages gives so many pages, and what comes before them and between: "begins" and
// "caught up".
func (f *follower) pages(n int) string {
	f.Helper()
	var said []string
	for n > 0 {
		book := f.next()
		for _, p := range book.Pages {
			said = append(said, fmt.Sprintf("%s%d", book.Pages[0].Event.Value, p.GetNum()))
			n--
		}
		if s := says(book); s != "" {
			said = append(said, s)
		}
	}
	return strings.Join(said, " ")
}

// until gives all up to the end of history.
func (f *follower) caughtUp() string {
	f.Helper()
	var said []string
	for {
		book := f.next()
		for _, p := range book.Pages {
			said = append(said, fmt.Sprintf("%s%d", book.Pages[0].Event.Value, p.GetNum()))
		}
		if s := says(book); s != "" {
			said = append(said, s)
		}
		if book.CaughtUp {
			return strings.Join(said, " ")
		}
	}
}

func says(book *angzarr.EventBook) string {
	switch {
	case book.CaughtUp:
		return "caught-up"
	case len(book.Pages) == 0:
		return "begins"
	}
	return ""
}

// refused gives the error that ends the stream.
func (f *follower) refused() *status.Status {
	for {
		if _, err := f.stream.Recv(); err != nil {
			return status.Convert(err)
		}
	}
}

func (w *world) all() *angzarr.Query { return &angzarr.Query{Domain: w.domain.Name} }

func TestSynchronizeOneRoot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	other := neighbour(w, root)
	w.write(w.page(other, 1, "o"), w.page(root, 1, "r"), w.page(root, 2, "r"), w.page(other, 2, "o"))
	w.begin(w.page(root, 3, "aborted"))
	w.end(kgo.TryAbort)

	f := w.follow(w.query, w.of(root, 0, 0))
	if got := f.caughtUp(); got != "begins r1 r2 caught-up" {
		t.Errorf("history: %s", got)
	}
	at := f.last
	w.write(w.page(other, 3, "o"), w.page(root, 3, "r"))
	w.write(w.page(root, 4, "r"))
	if got := f.pages(2); got != "r3 r4" {
		t.Errorf("live: %s", got)
	}
	end := f.last
	f.end()

	for _, tc := range []struct {
		name, want string
		query      *angzarr.Query
	}{
		{"again", "begins r1 r2 r3 r4 caught-up", w.of(root, 0, 0)},
		{"from page 3", "begins r3 r4 caught-up", w.of(root, 3, 0)},
		{"to page 3", "begins r2 r3 caught-up", w.of(root, 2, 3)},
		{"never written", "begins caught-up", w.of(uuid.New(), 0, 0)},
		{"resumed", "begins r3 r4 caught-up", &angzarr.Query{Domain: w.domain.Name, Root: w.of(root, 0, 0).Root, Position: at}},
		{"resumed at the end", "begins caught-up", &angzarr.Query{Domain: w.domain.Name, Root: w.of(root, 0, 0).Root, Position: end}},
	} {
		again := w.follow(w.query, tc.query)
		if got := again.caughtUp(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		again.end()
	}
}

func TestSynchronizeQueriesOnAnOpenStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := uuid.New(), uuid.New()
	w.write(w.page(a, 1, "a"), w.page(b, 1, "b"))
	f := w.follow(w.query, w.of(a, 0, 0))
	if got := f.caughtUp(); got != "begins a1 caught-up" {
		t.Fatalf("the first query: %s", got)
	}
	f.ask(w.of(b, 0, 0))
	if got := f.caughtUp(); got != "begins b1 caught-up" {
		t.Fatalf("one more: %s", got)
	}
	w.write(w.page(a, 2, "a"))
	if got := f.pages(1); got != "a2" {
		t.Fatalf("the first goes on: %s", got)
	}
	f.ask(w.of(a, 2, 0))
	if got := f.caughtUp(); got != "begins a2 caught-up" {
		t.Fatalf("the first changed: %s", got)
	}
	w.write(w.page(a, 3, "a"))
	if got := f.pages(1); got != "a3" {
		t.Fatalf("the first, changed, goes on: %s", got)
	}
	f.ask(w.all()) // takes the place of both
	got := f.caughtUp()
	if strings.Count(got, "a") != 4 || strings.Count(got, "b1") != 1 { // caught-up has one
		t.Fatalf("all of the domain: %s", got)
	}
	w.write(w.page(b, 2, "b"))
	if got := f.pages(1); got != "b2" {
		t.Fatalf("all of the domain goes on: %s", got)
	}
	f.ask(&angzarr.Query{})
	if got := f.caughtUp(); strings.Count(got, "b") != 3 { // begins
		t.Fatalf("everything: %s", got)
	}
	f.ask(w.of(a, 0, 0))
	if st := f.refused(); st.Code() != codes.InvalidArgument || !strings.HasPrefix(st.Message(), "domain: this stream follows all") {
		t.Errorf("a root of what is followed: %v", st)
	}
}

// Who follows everything gets what a domain has that is made later, and of one
// that is made anew.
func TestSynchronizeEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := uuid.New()
	w.write(w.page(a, 1, "a"))
	f := w.follow(w.query, &angzarr.Query{})
	if got := f.caughtUp(); got != "begins a1 caught-up" {
		t.Fatalf("history: %s", got)
	}
	before := f.last

	later, err := w.admin.EnsureDomain(t.Context(), w.broker.Domain("later"), log.TopicSettings{Partitions: 2, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	first := w.domain
	in := func(d log.Domain, value string, sequence uint32) {
		w.domain = d
		w.write(w.page(a, sequence, value))
		w.domain = first
	}
	in(later, "l", 1)
	w.known.add(later)
	if got := f.pages(1); got != "l1" {
		t.Fatalf("a new domain: %s", got)
	}
	in(later, "l", 2)
	w.write(w.page(a, 2, "a"))
	if got := f.pages(2); got != "l2 a2" && got != "a2 l2" {
		t.Fatalf("both: %s", got)
	}
	again := w.follow(w.query, &angzarr.Query{Position: before})
	if got := again.caughtUp(); !strings.Contains(got, "l1 l2") || !strings.Contains(got, "a2") || strings.Contains(got, "a1") {
		t.Fatalf("resumed from before the new domain: %s", got)
	}
	again.end()

	// A domain that is deleted stops nobody; made anew it is another one.
	topic := log.EventsTopic(later.Name)
	if _, err := kadm.NewClient(w.broker.Client(t)).DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	w.eventually("its tail has ended", func() bool { domains, _ := w.service.Tails(); return domains == 1 })
	w.write(w.page(a, 3, "a"))
	if got := f.pages(1); got != "a3" {
		t.Fatalf("beside one that was deleted: %s", got)
	}
	w.broker.CreateTopic(t, topic, later.Partitions, "cleanup.policy", "compact")
	w.writer = w.broker.Client(t, kgo.TransactionalID(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	in(later, "anew", 1)
	w.known.add(later)
	if got := f.pages(1); got != "anew1" {
		t.Fatalf("one that was made anew: %s", got)
	}
}

func TestSynchronizeBadQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	w.write(w.page(root, 1, "r"))
	position := func(q *angzarr.Query) []byte {
		f := w.follow(w.query, q)
		defer f.end()
		f.caughtUp()
		return f.last
	}
	ofRoot, ofDomain, ofAll := position(w.of(root, 0, 0)), position(w.all()), position(&angzarr.Query{})
	changed := bytes.Clone(ofDomain)
	changed[len(changed)/2]++
	id := &angzarr.UUID{Value: root[:]}
	d := w.domain.Name

	type q = angzarr.Query
	for name, tc := range map[string]struct {
		query *q
		code  codes.Code
		says  string
	}{
		"short root":               {&q{Domain: d, Root: &angzarr.UUID{Value: make([]byte, 15)}}, codes.InvalidArgument, "root:"},
		"a root of no domain":      {&q{Root: id}, codes.InvalidArgument, "domain:"},
		"unknown domain":           {&q{Domain: "nowhere"}, codes.NotFound, "domain: no domain"},
		"bounds crossed":           {&q{Domain: d, Root: id, LowerBound: 3, UpperBound: 2}, codes.InvalidArgument, "lowerBound:"},
		"a bound of a domain":      {&q{Domain: d, LowerBound: 3}, codes.InvalidArgument, "lowerBound:"},
		"an end of a domain":       {&q{Domain: d, UpperBound: 3}, codes.InvalidArgument, "upperBound:"},
		"an open book":             {&q{Domain: d, Root: id, OpenBook: true}, codes.InvalidArgument, "open_book:"},
		"a page of the past":       {&q{Domain: d, Root: id, AsOfSequence: 1}, codes.InvalidArgument, "as_of_sequence:"},
		"a time of the past":       {&q{Domain: d, Root: id, AsOfTime: timestamppb.Now()}, codes.InvalidArgument, "as_of_time:"},
		"no position":              {&q{Domain: d, Position: []byte("x")}, codes.InvalidArgument, "position: is not"},
		"a position, changed":      {&q{Domain: d, Position: changed}, codes.InvalidArgument, "position: is not"},
		"a position, cut":          {&q{Domain: d, Position: ofDomain[:len(ofDomain)-1]}, codes.InvalidArgument, "position: is not"},
		"a root's for a domain":    {&q{Domain: d, Position: ofRoot}, codes.InvalidArgument, "position: is of another query"},
		"a root's for another":     {&q{Domain: d, Root: w.of(uuid.New(), 0, 0).Root, Position: ofRoot}, codes.InvalidArgument, "position: is of another query"},
		"a domain's for a root":    {&q{Domain: d, Root: id, Position: ofDomain}, codes.OK, ""},
		"everything's for a root":  {&q{Domain: d, Root: id, Position: ofAll}, codes.OK, ""},
		"a domain's for all later": {&q{Position: ofDomain}, codes.OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := w.follow(w.query, tc.query)
			if tc.code == codes.OK {
				if got := f.caughtUp(); got != "begins caught-up" {
					t.Errorf("answered %s", got)
				}
				return
			}
			if st := f.refused(); st.Code() != tc.code || !strings.HasPrefix(st.Message(), tc.says) {
				t.Errorf("answered %v", st)
			}
		})
	}
}

// A position knows which cluster, and which topic of that name, it is of.
func TestSynchronizePositionOfAnotherLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	w.write(w.page(root, 1, "r"), w.page(root, 2, "r"))
	f := w.follow(w.query, w.all())
	f.caughtUp()
	f.end()
	resumed := &angzarr.Query{Domain: w.domain.Name, Position: f.last}

	for name, tc := range map[string]struct {
		change func(*query.Token)
		says   string
	}{
		"past the end":       {func(t *query.Token) { t.Past() }, "position: is past the end: partition"},
		"of another cluster": {func(t *query.Token) { t.Elsewhere() }, "position: is of another cluster"},
	} {
		changed := query.OpenToken(f.last)
		tc.change(changed)
		st := w.follow(w.query, &angzarr.Query{Domain: w.domain.Name, Position: changed.Bytes()}).refused()
		if st.Code() != codes.InvalidArgument || !strings.HasPrefix(st.Message(), tc.says) {
			t.Errorf("%s: %v", name, st)
		}
	}

	admin := kadm.NewClient(w.broker.Client(t))
	topic := log.EventsTopic(w.domain.Name)
	open := w.follow(w.query, w.all())
	open.caughtUp()
	if _, err := admin.DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if st := open.refused(); st.Code() != codes.NotFound || !strings.HasPrefix(st.Message(), "domain:") {
		t.Errorf("an open stream of a domain that is deleted ends with %v", st)
	}
	// Who was about to follow it hears the same.
	if err := w.service.JoinTail(t.Context(), w.domain.Name, log.Generation{ID: w.domain.EventsID}); !errors.Is(err, log.ErrGone) {
		t.Errorf("following a domain that is deleted: %v", err)
	}
	w.broker.CreateTopic(t, topic, w.domain.Partitions, "cleanup.policy", "compact")
	w.known.add(w.domain)
	st := w.follow(w.query, resumed).refused()
	if st.Code() != codes.InvalidArgument || !strings.Contains(st.Message(), "deleted since, and made anew") {
		t.Errorf("a position from before: %v", st)
	}
}
