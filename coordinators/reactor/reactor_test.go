package reactor_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Each root's events come in order and once, whoever of two workers calls them.
func TestPagesComeInOrder(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 4)
	roots := w.Roots(20)
	put(w, roots, 3)
	s := &service{t: t}
	w.Start("p", s)
	put(w, roots[10:], 2)
	w.Start("p", s)
	w.Done(w.Group("p"))
	s.inOrder(t, roots[:10], 3)
	for i, root := range roots[10:] {
		if got := s.seen(root); len(got) != 5 {
			t.Errorf("root %d was told %v", 10+i, got)
		}
	}
}

// What waits while a call is under way goes together into the next one.
func TestRunsAreGathered(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	root := w.Root(0)
	entered, open := make(chan struct{}, 100), make(chan struct{})
	s := &service{t: t, call: func(context.Context, reactor.Run) ([]log.Record, *reactor.Failure) {
		entered <- struct{}{}
		<-open
		return nil, nil
	}}
	x := w.Start("p", s)
	w.Put(root, "0.1")
	<-entered
	for j := range 9 {
		w.Put(root, fmt.Sprintf("0.%d", j+2))
	}
	reactortest.Eventually(t, "nine wait", func() bool { return x.Waiting() == 10 })
	close(open)
	w.Done(w.Group("p"))
	s.inOrder(t, []log.Root{root}, 10)
	if len(s.calls) != 2 {
		t.Errorf("it took %d calls", len(s.calls))
	}
}

// A root that fails is held, and goes on when its page is a dead letter; no other
// root waits for it.
func TestAFailingRootHoldsNobody(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	roots := w.Roots(30)
	put(w, roots, 2)
	s := &service{t: t, call: failing("7.1"), together: 1}
	w.Start("p", s, func(c *reactor.Config) { c.Attempts = 1 << 30 })
	reactortest.Eventually(t, "all other roots are through", func() bool {
		for i, root := range roots {
			if i != 7 && len(s.seen(root)) < 2 {
				return false
			}
		}
		return true
	})
	reactortest.Eventually(t, "it is tried again", func() bool { return s.tries("7.1") > 2 })
	if got := s.seen(roots[7]); len(got) != 0 {
		t.Errorf("the failing root went on with %v", got)
	}
	if s.tries("7.2") > 0 {
		t.Error("its second page was called before its first")
	}
}

func TestADeadLetter(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	roots := w.Roots(2)
	put(w, roots, 3)
	s := &service{t: t, call: failing("1.2")}
	w.Start("p", s)
	w.Done(w.Group("p"))
	if got := s.seen(roots[1]); !slices.Equal(got, []string{"1.1", "1.3"}) {
		t.Errorf("the root was told %v", got)
	}
	if n := s.tries("1.2"); n != 3 && n != 4 { // one may have been with its neighbours
		t.Errorf("it was tried %d times, want 3", n)
	}
	letters := w.DeadLetters()
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	letter := letters[0]
	if letter.ID.Reader != w.Group("p") || letter.ID.Source.Topic != log.EventsTopic(w.Domain.Name) || letter.Cause != "Internal" ||
		letter.Message != "I can't stand 1.2" || letter.Attempts != 3 || letter.Root != roots[1] || letter.NextPage != 3 ||
		string(letter.Key) != string(log.PageKey(roots[1], 2)) || letter.CommandID != "command of 1.2" || time.Since(letter.Time) > time.Minute {
		t.Errorf("the letter is %+v", letter)
	}
	original := log.Record{Key: letter.Key, Value: letter.Value, Headers: letter.Headers}
	if page, err := log.DecodePage(&original); err != nil || reactortest.TextOf(page.Proto().Event) != "1.2" {
		t.Errorf("the original is %v, %v", page, err)
	}
}

// Two services that fail on the same event leave a dead letter each.
func TestDeadLettersOfTwo(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	put(w, w.Roots(1), 1)
	w.Start("p", &service{call: failing("0.1")})
	w.Start("q", &service{call: failing("0.1")})
	w.Done(w.Group("p"))
	w.Done(w.Group("q"))
	keys := make(map[string]bool)
	for _, l := range w.DeadLetters() {
		keys[l.ID.String()] = true
	}
	if len(keys) != 2 {
		t.Errorf("the keys are %v, want two", keys)
	}
}

// Pages that fail together are called one by one, so that only the one that is to
// blame becomes a dead letter.
func TestOneOfARunIsToBlame(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	roots := w.Roots(1)
	put(w, roots, 12)
	s := &service{t: t, call: failing("0.5", "0.9")}
	w.Start("p", s)
	w.Done(w.Group("p"))
	if got, want := strings.Join(s.seen(roots[0]), " "), "0.1 0.2 0.3 0.4 0.6 0.7 0.8 0.10 0.11 0.12"; got != want {
		t.Errorf("the root was told %s, want %s", got, want)
	}
	if n := len(w.DeadLetters()); n != 2 {
		t.Errorf("%d dead letters, want 2", n)
	}
	if n := s.tries("0.12"); n > 3 {
		t.Errorf("the last was called %d times", n)
	}
}

// While a service is not there nothing counts; pages that no try helps are dead
// at once.
func TestFates(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	roots := w.Roots(3)
	put(w, roots, 1)
	there := make(chan struct{})
	s := &service{t: t, call: func(_ context.Context, run reactor.Run) ([]log.Record, *reactor.Failure) {
		if says(run)[0] == "2.1" {
			return nil, &reactor.Failure{Status: status.New(codes.FailedPrecondition, "never"), Fate: reactor.Ends}
		}
		select {
		case <-there:
			return nil, nil
		default:
			return nil, &reactor.Failure{Status: status.New(codes.Unavailable, "not yet"), Fate: reactor.Waits}
		}
	}}
	w.Start("p", s)
	reactortest.Eventually(t, "it is called more often than attempts are allowed", func() bool { return s.tries("0.1") > 5 })
	close(there)
	w.Done(w.Group("p"))
	s.inOrder(t, roots[:2], 1)
	letters := w.DeadLetters()
	if len(letters) != 1 || s.tries("2.1") != 1 || letters[0].Cause != "FailedPrecondition" {
		t.Errorf("%d dead letters after %d tries", len(letters), s.tries("2.1"))
	}
}

// A service that hangs is hung up on.
func TestAServiceThatHangs(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	roots := w.Roots(3)
	put(w, roots, 1)
	s := &service{t: t, call: func(ctx context.Context, run reactor.Run) ([]log.Record, *reactor.Failure) {
		if says(run)[0] == "1.1" {
			<-ctx.Done()
			return nil, reactor.Refuse(codes.DeadlineExceeded, "hung")
		}
		return nil, nil
	}}
	x := w.Worker("p", s)
	x.SetTimeout(50 * time.Millisecond)
	x.Go()
	w.Done(w.Group("p"))
	s.inOrder(t, roots[:1], 1)
	if n := len(w.DeadLetters()); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}

// Snapshots, erasures and what the service doesn't want are passed over, and
// their offsets committed all the same; what can't be read is a dead letter.
func TestWhatIsNoPage(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	root := w.Root(0)
	s := &service{t: t, wants: func(p *log.Page) bool { return p.Sequence != 2 }}
	w.Put(root, "0.1")
	w.Put(root, "0.2")
	sheet := log.NewSheet(w.Domain.Name)
	sheet.AddSnapshot(root, &angzarr.Snapshot{Sequence: 2, State: reactortest.Text("x")}, 0)
	w.Write(sheet.Records[0])
	events := log.EventsTopic(w.Domain.Name)
	w.Write(log.Record{Topic: events, Key: log.PageKey(w.Root(0), 1)})                  // a tombstone
	w.Write(log.Record{Topic: events, Key: log.PageKey(w.Root(0), 0), Value: []byte{}}) // an erasure
	w.Write(log.Record{Topic: events, Key: []byte("whose?"), Value: []byte("x")})
	w.Write(log.Record{Topic: events, Key: log.PageKey(root, 3), Value: []byte("typeless")})
	w.Start("p", s)
	w.Done(w.Group("p"))
	if got := s.seen(root); !slices.Equal(got, []string{"0.1"}) {
		t.Errorf("it was told %v", got)
	}
	if letters := w.DeadLetters(); len(letters) != 1 || string(letters[0].Value) != "typeless" || letters[0].Cause != "DataLoss" {
		t.Errorf("dead letters: %v", letters)
	}
}

// A service that is slow slows reading: what waits for it is bounded.
func TestASlowServiceSlowsReading(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	roots := w.Roots(50)
	put(w, roots, 60)
	open := make(chan struct{})
	s := &service{t: t, call: func(context.Context, reactor.Run) ([]log.Record, *reactor.Failure) { <-open; return nil, nil }}
	x := w.Worker("p", s)
	x.SetMost(128)
	x.Go()
	reactortest.Eventually(t, "reading has stopped", x.Held)
	if n := x.Waiting(); n > 128 {
		t.Errorf("%d pages of one partition wait", n)
	}
	close(open)
	w.Done(w.Group("p"))
	s.inOrder(t, roots, 60)
}

// A new group begins at the start of the log. One that has begun and has lost its
// offsets does not begin anew by itself.
func TestWhereAGroupBegins(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 2)
	roots := w.Roots(4)
	put(w, roots, 1)
	s := &service{t: t}
	x := w.Start("p", s)
	w.Done(w.Group("p"))
	x.Stop()
	put(w, roots, 1)
	again := &service{t: t}
	y := w.Start("p", again)
	w.Done(w.Group("p"))
	y.Stop()
	s.inOrder(t, roots, 1)
	if got := again.seen(roots[3]); len(got) != 1 {
		t.Errorf("a worker that came later was told %v", got)
	}
	w.ForgetOffsets(w.Group("p"))
	z := w.Start("p", again)
	if err := z.Ended(); err == nil || !strings.Contains(err.Error(), "log.missing_offsets") {
		t.Errorf("without its offsets the worker ended with %v", err)
	}
}

func TestBook(t *testing.T) {
	page := func(n uint32, command string) log.Page {
		return log.Page{Sequence: n, TypeURL: "x/T", Value: []byte(strconv.Itoa(int(n))), Cause: log.Cause{CommandID: command, CorrelationID: "why"}}
	}
	run := reactor.Run{Domain: "d", Root: log.Root{1}, Pages: []log.Page{page(3, "a"), page(4, "a")}}
	book := run.Book()
	if book.Cover.Domain != "d" || book.CommandId != "a" || book.CorrelationId != "why" || len(book.Pages) != 2 || book.Pages[1].GetNum() != 4 || run.Last() != 4 {
		t.Errorf("the book is %v", book)
	}
	run.Pages[1].Cause.CommandID = "b"
	if book := run.Book(); book.CommandId != "" {
		t.Errorf("pages of two commands are told to be of %s", book.CommandId)
	}
}
