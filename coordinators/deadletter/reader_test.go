package deadletter

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// picky is a service that can't stand some events, and copies the others to a topic.
type picky struct {
	topic string
	mu    sync.Mutex
	bad   map[string]bool
	asked map[string]int
}

func (*picky) Together() int        { return 100 }
func (*picky) Wants(*log.Page) bool { return true }

func (p *picky) Call(_ context.Context, run reactor.Run) (records []log.Record, _ *reactor.Failure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range run.Pages {
		said := reactortest.TextOf(run.Pages[i].Proto().Event)
		p.asked[said]++
		if p.bad[said] {
			return nil, reactor.Refuse(codes.Internal, "I can't stand %s", said)
		}
		records = append(records, log.Record{Topic: p.topic, Key: run.Root[:], Value: []byte(said)})
	}
	return records, nil
}

func (p *picky) stands(said ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range said {
		delete(p.bad, s)
	}
}

func (p *picky) times(said string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[said]
}

// one knows one domain.
type one struct{ log.Domain }

func (d one) Find(context.Context, string, string) (int32, *status.Status) { return d.Partitions, nil }
func (d one) All(context.Context) ([]string, error)                        { return []string{d.Name}, nil }

// told is a caller of Replay.
type told struct {
	grpc.ServerStream
	ctx context.Context
	all []*angzarr.ReplayedDeadLetter
}

func (s *told) Context() context.Context { return s.ctx }
func (s *told) Send(r *angzarr.ReplayedDeadLetter) error {
	s.all = append(s.all, r)
	return nil
}

// readers' letters: a domain of which a service can't stand some events.
type lettered struct {
	*reactortest.World
	t       *testing.T
	service *picky
	replays *Service
	worker  *reactortest.Worker
}

// newLettered puts five events of one root, of which the third and the fourth become
// dead letters.
func newLettered(t *testing.T, opts ...reactortest.Option) (*lettered, log.Root) {
	t.Helper()
	t.Parallel()
	w := &lettered{World: reactortest.New(t, 2), t: t}
	w.service = &picky{topic: w.Broker.Domain("copies"), bad: map[string]bool{"3": true, "4": true}, asked: make(map[string]int)}
	w.CreateTopic(t, w.service.topic, 1)
	writer, err := w.Cluster.NewWriter("test-replay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(writer.Close)
	w.replays = New(Config{Cluster: w.Cluster, Admin: w.Admin(), Writer: writer, Domains: one{w.Domain}, Logger: w.Cluster.Logger})
	root := w.Root(1)
	for i := range 5 {
		w.Put(root, fmt.Sprint(i+1))
	}
	w.worker = w.Start("summary", w.service, opts...)
	w.Done(w.Group("summary"))
	if n := len(w.standing()); n != 2 {
		t.Fatalf("%d letters, want 2", n)
	}
	return w, root
}

// standing are the letters that nobody is done with, by what their events say.
func (w *lettered) standing() map[string]*log.DeadLetter {
	w.t.Helper()
	ends, err := w.Admin().HighWatermarks(w.t.Context(), log.DeadLettersTopic(w.Domain.Name))
	if err != nil {
		w.t.Fatal(err)
	}
	letters, err := w.Cluster.ReadLetters(w.t.Context(), w.Domain.Name, ends, func(l *log.DeadLetter) bool { return l.Dropped == "" })
	if err != nil {
		w.t.Fatal(err)
	}
	by := make(map[string]*log.DeadLetter)
	for _, l := range letters {
		r := l.Record()
		page, err := log.DecodePage(&r)
		if err != nil {
			w.t.Fatal(err)
		}
		by[reactortest.TextOf(page.Proto().Event)] = l
	}
	return by
}

// copied is what the service's calls have led to, in order.
func (w *lettered) copied() (said []string) {
	w.t.Helper()
	for _, r := range logtest.ReadCommitted(w.t, w.Cluster, w.service.topic) {
		said = append(said, string(r.Value))
	}
	return said
}

func (w *lettered) replay() []*angzarr.ReplayedDeadLetter {
	w.t.Helper()
	caller := &told{ctx: w.t.Context()}
	r := &angzarr.ReplayDeadLettersRequest{Selection: &angzarr.DeadLetterSelection{Domain: w.Domain.Name}, PerSecond: 100}
	if err := w.replays.Replay(r, caller); err != nil {
		w.t.Fatal(err)
	}
	return caller.all
}

// What a projector or a saga could not take goes back to it, in the order of its
// root; and what fails again comes back, once, with one attempt more.
func TestAReadersLetterIsReplayed(t *testing.T) {
	w, _ := newLettered(t)
	first := w.standing()["4"].Attempts
	for range 2 {
		before := w.service.times("3")
		for _, r := range w.replay() {
			if r.Outcome == nil || !r.Outcome.DeadLetter || r.Outcome.Code != int32(codes.Internal) {
				t.Errorf("it was told %v of one that fails again", r)
			}
		}
		if n := w.service.times("3") - before; n != 1 {
			t.Errorf("it was called %d times", n)
		}
	}
	again := w.standing()["4"]
	if again.Attempts != first+2 || again.Asked || again.Cause != codes.Internal.String() {
		t.Errorf("after %d attempts and two replays it is %+v", first, again)
	}
	w.service.stands("3", "4")
	for _, r := range w.replay() {
		if r.Outcome == nil || r.Outcome.DeadLetter || r.Outcome.Code != 0 {
			t.Errorf("it was told %v", r)
		}
	}
	if got := w.copied(); !slices.Equal(got, []string{"1", "2", "5", "3", "4"}) {
		t.Errorf("there is %v", got)
	}
	if left := w.standing(); len(left) != 0 {
		t.Errorf("there are letters: %v", left)
	}
	if all := w.replay(); len(all) != 0 {
		t.Errorf("it was told %v of letters that are done with", all)
	}
}

// What was asked for while nobody served the reader is done by who comes.
func TestAReadersLetterWaitsForItsReader(t *testing.T) {
	w, _ := newLettered(t)
	w.worker.Stop()
	letters := w.standing()
	for _, said := range []string{"3", "4"} {
		w.Write(letters[said].Ask(w.Domain.Name))
	}
	drop := letters["4"].Drop(w.Domain.Name, "a test", letters["4"].Time)
	w.Write(drop)
	w.Write(letters["4"].Ask(w.Domain.Name)) // of somebody who did not see that
	w.service.stands("3", "4")
	w.Start("summary", w.service)
	reactortest.Eventually(t, "nothing is left", func() bool { return len(w.standing()) == 0 })
	if got := w.copied(); !slices.Equal(got, []string{"1", "2", "5", "3"}) {
		t.Errorf("there is %v", got)
	}
}

// The worker crashes before and after each step of the transaction that is done with
// a letter, or leaves it again; another one takes over. It is done with once.
func TestACrashWhileALetterIsReplayed(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		for name, fate := range map[string]logtest.Fate{"before": logtest.CrashesBefore, "after": logtest.CrashesAfter} {
			for _, fails := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s, fails again: %v", name, key.Name(), fails), func(t *testing.T) {
					w, _ := newLettered(t)
					before := w.standing()["3"].Attempts
					if !fails {
						w.service.stands("3")
					}
					w.worker.Wire.On(key, func(kmsg.Request) logtest.Fate { return fate })
					w.Write(w.standing()["3"].Ask(w.Domain.Name))
					reactortest.Eventually(t, "the worker has crashed", w.worker.Wire.IsCut)
					w.worker.Crash()
					w.Start("summary", w.service)
					reactortest.Eventually(t, "the letter is done with, or left again", func() bool {
						l := w.standing()["3"]
						return l == nil && !fails || l != nil && !l.Asked && fails
					})
					want := []string{"1", "2", "5"}
					if fails {
						if l := w.standing()["3"]; l.Attempts != before+1 {
							t.Errorf("it had %d attempts, and has %d", before, l.Attempts)
						}
					} else {
						want = append(want, "3")
					}
					if got := w.copied(); !slices.Equal(got, want) {
						t.Errorf("there is %v, want %v", got, want)
					}
				})
			}
		}
	}
}
