package log

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Cluster is how to reach the brokers.
type Cluster struct {
	// Brokers are host:port addresses to start from; any of them is enough
	// to learn the others.
	Brokers []string
	// TLS is nil for plain connections.
	TLS *tls.Config
	// SASL is nil where brokers ask for no user.
	SASL *SASL
	// Logger may be nil: then the client says nothing.
	Logger *slog.Logger
}

const (
	dialTimeout    = 3 * time.Second
	requestTimeout = 5 * time.Second
	retryTimeout   = 15 * time.Second
	pingTimeout    = 10 * time.Second
	sessionTimeout = 6 * time.Second

	firstRetry = 25 * time.Millisecond
	lastRetry  = time.Second
)

// Options are what every client shares. A client adds its own topics, group,
// transactional id and isolation level.
func (c Cluster) Options(clientID string) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(clientID),

		// Default 5 s. A produce that gets a retriable error waits for new
		// metadata, and so does a partition whose leader moved: at the default
		// that is a stall of 5 s. What it costs is a metadata request each
		// 50 ms for as long as an error lasts.
		kgo.MetadataMinAge(50 * time.Millisecond),

		// Default 20 ms. A transaction that begins while the last one's
		// markers are being written is refused and tried again; markers take
		// about a millisecond, so the default would be most of a commit's
		// latency. kgo backs off further by itself when it lasts.
		kgo.ConcurrentTransactionsBackoff(2 * time.Millisecond),

		// Default 10 s, the whole of a transaction's timeout. A broker that
		// takes longer than this to accept a connection is passed over for
		// the next one.
		kgo.DialTimeout(dialTimeout),

		// Default 10 s. An answer that takes longer kills the connection, and
		// what else is under way on it is sent again; shorter and a broker's
		// long collection pause would look like its death. Requests that wait
		// at the broker (joins, fetches) have it on top of their own wait.
		kgo.RequestTimeoutOverhead(requestTimeout),

		// Default 30 s, and the session timeout for a group's own requests.
		// An error after this is not tried again; whoever needs an earlier
		// end passes a context.
		kgo.RetryTimeoutFn(retryTimeoutOf),

		// Default 250 ms doubling to 5 s. A coordinator that moves is back in
		// a few hundred milliseconds, and a takeover waits for it.
		kgo.RetryBackoffFn(retryBackoff),
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL.mechanism()))
	}
	if c.Logger != nil {
		opts = append(opts, kgo.WithLogger(clientLogger{c.Logger.With("client", clientID)}))
	}
	return opts
}

// Ping says in one line why no broker answers, naming the addresses. It waits
// for at most 10 s.
func (c Cluster) Ping(ctx context.Context) error {
	if len(c.Brokers) == 0 {
		return errors.New("no Kafka broker is configured: log.brokers must name at least one host:port")
	}
	if c.SASL != nil {
		if err := c.SASL.Valid(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	client, err := kgo.NewClient(c.Options("angzarr/ping")...)
	if err != nil {
		return fmt.Errorf("reach Kafka at %s: %w", c.where(), err)
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("no Kafka broker answers at %s: %w", c.where(), err)
	}
	return nil
}

// where also says how: brokers that are spoken to in another way than they
// expect say nothing, or hang up.
func (c Cluster) where() string {
	where := strings.Join(c.Brokers, ", ")
	if c.TLS != nil {
		where += " with TLS"
	}
	if c.SASL != nil {
		where += fmt.Sprintf(" with SASL %s as user %s", c.SASL.Mechanism, c.SASL.User)
	}
	return where
}

// heartbeatKey is the group heartbeat's request key:
// https://kafka.apache.org/protocol#protocol_api_keys.
const heartbeatKey = 12

// retryTimeoutOf ends a heartbeat's retries with the session that it keeps
// alive: later it could only learn that the member is gone.
func retryTimeoutOf(key int16) time.Duration {
	if key == heartbeatKey {
		return sessionTimeout
	}
	return retryTimeout
}

// retryBackoff doubles from 25 ms to 1 s, each with up to a fifth less, so
// that clients that failed together don't come back together.
func retryBackoff(fails int) time.Duration {
	backoff := lastRetry
	if shift := fails - 1; shift < 6 {
		backoff = min(lastRetry, firstRetry<<max(shift, 0))
	}
	return backoff - time.Duration(rand.Int64N(int64(backoff)/5))
}
