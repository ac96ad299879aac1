package deadletter

import (
	"context"
	"strings"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// refusing is a projector that can't stand any event.
type refusing struct{}

func (refusing) Together() int        { return 1 }
func (refusing) Wants(*log.Page) bool { return true }
func (refusing) Call(context.Context, reactor.Run) ([]log.Record, *reactor.Failure) {
	return nil, reactor.Refuse(codes.Internal, "I can't stand it")
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

// What a projector could not take is an event, which is in the log already: to
// replay it would write it there again.
func TestAReadersLetterIsNotReplayed(t *testing.T) {
	t.Parallel()
	w := reactortest.New(t, 1)
	x := w.Start("summary", refusing{})
	w.Put(w.Root(0), "said")
	w.Done(w.Group("summary"))
	x.Stop()
	letters := w.DeadLetters()
	if len(letters) != 1 || letters[0].ID.Reader != w.Group("summary") {
		t.Fatalf("the letters are %v", letters)
	}
	topics := []string{log.EventsTopic(w.Domain.Name), log.CommandsTopic(w.Domain.Name), log.DeadLettersTopic(w.Domain.Name)}
	standing := func() (n int) {
		for _, topic := range topics {
			n += len(logtest.ReadCommitted(t, w.Cluster, topic))
		}
		return n
	}
	before := standing()
	writer, err := w.Cluster.NewWriter("test-replay")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(writer.Close)
	s := New(Config{Cluster: w.Cluster, Admin: w.Admin(), Writer: writer, Domains: one{w.Domain}, Poster: writing{writer}, Logger: w.Cluster.Logger})
	caller := &told{ctx: t.Context()}
	if err := s.Replay(&angzarr.ReplayDeadLettersRequest{Selection: &angzarr.DeadLetterSelection{Domain: w.Domain.Name}}, caller); err != nil {
		t.Fatal(err)
	}
	if len(caller.all) != 1 || caller.all[0].Outcome != nil || !strings.Contains(caller.all[0].NotReplayed, "only commands can be replayed") ||
		!strings.Contains(caller.all[0].NotReplayed, w.Group("summary")) {
		t.Errorf("it was told %v", caller.all)
	}
	if after := standing(); after != before {
		t.Errorf("%d records were written", after-before)
	}
}

// writing posts what it is given, and waits for nothing.
type writing struct{ *log.Writer }

func (w writing) Post(ctx context.Context, r *log.Record, written func()) (*angzarr.Outcome, error) {
	defer written()
	return nil, w.Write(ctx, r)
}
