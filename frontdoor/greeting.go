package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
)

// greetTimeout bounds the wait for an answer to a greeting. Who keeps silent is
// neither dead nor alive, and is greeted again.
const greetTimeout = 2 * time.Second

// greeting is one try to reach the process at an address, over a connection of
// its own: whether that is refused is what tells death from silence.
type greeting struct {
	address string
	// listed are the members at the address, as the group gave them before: a
	// process that was heard of later may have come after the answer.
	listed []partitioning.Membership

	refused      bool     // nobody listens at the address
	incarnations []string // who is there, if somebody answered
	err          error    // why nobody did
}

// answered says that somebody did.
func (g greeting) answered() bool { return g.err == nil }

// greet greets, tells what came of it, and holds the connection until it breaks
// or ctx ends.
func (p *Peers) greet(ctx context.Context, g greeting, tell func(greeting)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var refused atomic.Bool
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		refused.Store(errors.Is(err, syscall.ECONNREFUSED))
		return conn, err
	}
	l, err := newLink(g.address, p.credentials, grpc.WithContextDialer(dial))
	if err != nil {
		g.err = err
		tell(g)
		return
	}
	defer l.conn.Close()
	silence := time.AfterFunc(greetTimeout, cancel)
	stream, err := angzarr.NewPeersClient(l.conn).Greet(ctx, &angzarr.GreetRequest{})
	var answer *angzarr.GreetResponse
	if err == nil {
		answer, err = stream.Recv()
	}
	if !silence.Stop() {
		err = fmt.Errorf("no answer within %v", greetTimeout)
	}
	g.incarnations, g.err, g.refused = answer.GetIncarnations(), err, refused.Load()
	tell(g)
	for err == nil {
		_, err = stream.Recv()
	}
}
