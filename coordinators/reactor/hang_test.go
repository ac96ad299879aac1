package reactor_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/projector"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/coordinators/saga"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// hangs is a saga and a projector that don't answer to an event that says "1.1",
// until they are hung up.
type hangs struct {
	angzarr.UnimplementedSagaServer
	hungUp, answered atomic.Int32
}

func (s *hangs) HandleSync(ctx context.Context, b *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	for _, p := range b.Pages {
		if reactortest.TextOf(p.Event) == "1.1" {
			<-ctx.Done()
			s.hungUp.Add(1)
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	s.answered.Add(int32(len(b.Pages)))
	return &angzarr.SynchronousProcessingResponse{}, nil
}

type hangingProjector struct {
	angzarr.UnimplementedProjectorServer
	*hangs
}

func (p hangingProjector) HandleSync(ctx context.Context, b *angzarr.EventBook) (*angzarr.Projection, error) {
	_, err := p.hangs.HandleSync(ctx, b)
	return &angzarr.Projection{}, err
}

// A saga or a projector that hangs on an event is hung up on, over the network too;
// the event is a dead letter, and the root goes on.
func TestServicesThatHang(t *testing.T) {
	for name, service := range map[string]func(*hangs) reactor.Service{
		"a saga": func(s *hangs) reactor.Service {
			return saga.New(saga.Config{Name: "s", Answer: 1 << 20, Conn: reactortest.Serve(t, func(r grpc.ServiceRegistrar) {
				angzarr.RegisterSagaServer(r, s)
			})})
		},
		"a projector": func(s *hangs) reactor.Service {
			return projector.New(projector.Config{Name: "p", Answer: 1 << 20, Conn: reactortest.Serve(t, func(r grpc.ServiceRegistrar) {
				angzarr.RegisterProjectorServer(r, hangingProjector{hangs: s})
			})})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := reactortest.New(t, 1)
			put(w, w.Roots(3), 2)
			s := &hangs{}
			x := w.Worker("p", service(s))
			x.SetTimeout(200 * time.Millisecond)
			x.Go()
			w.Done(w.Group("p"))
			letters := w.DeadLetters()
			if len(letters) != 1 || letters[0].Cause != "DeadlineExceeded" || !strings.Contains(letters[0].Message, "has not answered in time") || letters[0].Attempts != 3 {
				t.Errorf("dead letters: %v", letters)
			}
			reactortest.Eventually(t, "each call was hung up", func() bool { return s.hungUp.Load() >= 3 })
			if n := s.answered.Load(); n != 5 {
				t.Errorf("%d events were answered, want 5", n)
			}
		})
	}
}
