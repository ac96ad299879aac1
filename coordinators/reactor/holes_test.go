package reactor_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"google.golang.org/grpc/codes"
)

// Every second root can't be called for a while: more is done behind what is not
// than an offset's metadata holds. It waits, is called once, and is there once, also
// if its worker stops meanwhile.
func TestManyHoles(t *testing.T) {
	for _, stops := range []bool{false, true} {
		t.Run(fmt.Sprintf("its worker stops: %v", stops), func(t *testing.T) {
			t.Parallel()
			w := reactortest.New(t, 1)
			topic := w.Broker.Domain("copies")
			w.CreateTopic(t, topic, 1)
			roots := w.Roots(800)
			stuck := make(map[log.Root]bool)
			for i, root := range roots {
				stuck[root] = i%2 == 0
			}
			put(w, roots, 1)
			open := make(chan struct{})
			s := copier(topic)
			copies := s.call
			s.call = func(ctx context.Context, run reactor.Run) ([]log.Record, *reactor.Failure) {
				if stuck[run.Root] {
					select {
					case <-open:
					default:
						return nil, &reactor.Failure{Status: reactor.Refuse(codes.Unavailable, "not now").Status, Fate: reactor.Waits}
					}
				}
				return copies(ctx, run)
			}
			x := w.Start("p", s)
			reactortest.Eventually(t, "those that can be called are", func() bool {
				return x.Waiting() == len(roots)/2 && len(logtest.ReadCommitted(t, w.Cluster, topic)) >= 100
			})
			if stops {
				x.Stop()
				w.Start("p", s)
			}
			close(open)
			w.Done(w.Group("p"))
			once(t, w, topic, roots, 1)
		})
	}
}
