package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// callLoad is a closed loop: each caller sends its next command when the last
// one is answered.
type callLoad struct {
	sender
	callers     int
	slow        bool
	connections []*grpc.ClientConn

	mu  sync.Mutex
	got latencies
}

func newCallLoad(o Options, s sender, front string) (*callLoad, error) {
	l := &callLoad{sender: s, callers: o.Callers, slow: o.SlowRoot > 0}
	for range o.Connections {
		connection, err := grpc.NewClient(front, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, fmt.Errorf("front door: %w", err)
		}
		l.connections = append(l.connections, connection)
	}
	return l, nil
}

func (l *callLoad) close() {
	for _, connection := range l.connections {
		connection.Close() //nolint:errcheck // nothing is under way
	}
}

func (l *callLoad) client(caller int) pb.BusinessCoordinatorClient {
	return pb.NewBusinessCoordinatorClient(l.connections[caller%len(l.connections)])
}

func (l *callLoad) probe(ctx context.Context) error {
	client := l.client(0)
	for i := range probes {
		for {
			index, err := l.call(ctx, client, l.roots[i%len(l.roots)], grpc.WaitForReady(true))
			if err == nil {
				l.ledger.acked = append(l.ledger.acked, index.index)
				break
			}
			// Until a deployment is up it says so, in one of these ways.
			if code := status.Code(err); ctx.Err() != nil || (code != codes.Unavailable && code != codes.NotFound) {
				return fmt.Errorf("probe: %w", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

func (l *callLoad) run(ctx context.Context, w window) (latencies, error) {
	callers, ctx := errgroup.WithContext(ctx)
	for caller := range l.callers {
		random := rand.New(rand.NewPCG(uint64(caller), 2))
		callers.Go(func() error {
			return l.loop(ctx, w, l.client(caller), func() root { return l.some(random) })
		})
	}
	if l.slow {
		callers.Go(func() error {
			return l.loop(ctx, w, l.client(0), func() root { return slowRoot })
		})
	}
	err := callers.Wait()
	return l.got, err
}

func (l *callLoad) loop(ctx context.Context, w window, client pb.BusinessCoordinatorClient, pick func() root) error {
	var got latencies
	var acked []uint64
	for time.Now().Before(w.to) {
		r := pick()
		command, err := l.call(ctx, client, r)
		if err != nil {
			return fmt.Errorf("command %d: %w", command.index, err)
		}
		now := time.Now()
		acked = append(acked, command.index)
		if w.holds(now) {
			got.add(r, now.Sub(command.sent))
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got.merge(got)
	l.ledger.acked = append(l.ledger.acked, acked...)
	return nil
}

// call returns nil only if the answer holds the one event that it must.
func (l *callLoad) call(ctx context.Context, client pb.BusinessCoordinatorClient, r root, options ...grpc.CallOption) (stamp, error) {
	command, book := l.make(r)
	answer, err := client.Handle(ctx, book, options...)
	if err != nil {
		return command, err
	}
	if books := answer.GetBooks(); len(books) != 1 || len(books[0].GetPages()) != 1 {
		return command, fmt.Errorf("answered with %d books, not with one event", len(books))
	}
	return command, nil
}
