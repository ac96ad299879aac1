package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// link is the connection to another process. Its fields but conn are guarded by
// the peers' mutex.
type link struct {
	conn *grpc.ClientConn
	busy int // calls under way
	used time.Time
	lost time.Time // when it was last found out of reach
}

func newLink(address string, creds credentials.TransportCredentials, opts ...grpc.DialOption) (*link, error) {
	conn, err := grpc.NewClient("passthrough:///"+address, append(opts,
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(answerBytes), grpc.MaxCallSendMsgSize(answerBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{
			// A peer that restarts is back soon; the default waits up to 120 s.
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}))...)
	if err != nil {
		return nil, fmt.Errorf("reach the peer at %s: %w", address, err)
	}
	return &link{conn: conn}, nil
}

// reach returns nil once the connection stands, or soon says why it doesn't: a
// call on it can't tell whether it was sent.
func (l *link) reach(ctx context.Context) error {
	if l.conn.GetState() == connectivity.Ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	for {
		state := l.conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return l.why(ctx)
		case connectivity.Idle:
			l.conn.Connect()
		}
		if !l.conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("no connection within %v", reachTimeout)
		}
	}
}

// why asks for the reason, which gRPC tells only to calls.
func (l *link) why(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := angzarr.NewPeersClient(l.conn).Greet(ctx, &angzarr.GreetRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if err == nil {
		return errors.New("it was away a moment ago")
	}
	return errors.New(status.Convert(err).Message())
}
