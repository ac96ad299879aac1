package log

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// EmbeddedOptions are all optional.
type EmbeddedOptions struct {
	// Dir keeps the data; "" keeps it in memory only. One process at a time
	// can have a directory open.
	Dir string
	// Addr is the host:port to listen on; "" is any free loopback port. There
	// is no authentication: what is not a loopback address is open to all who
	// can reach it.
	Addr string
	// Logger may be nil.
	Logger *slog.Logger
	// Fake are further options, for tests: more nodes (then without an Addr),
	// older protocol versions, broker settings.
	Fake []kfake.Opt
}

// Embedded is a Kafka inside this process, for development and tests: it
// speaks the protocol on TCP, so that any Kafka client can look, but it
// replicates nothing.
type Embedded struct {
	fake *kfake.Cluster
	lock *dirLock // nil without a directory
}

// StartEmbedded returns once the broker accepts connections. What was written
// before it was closed, or before its process ended, is there again when it is
// started with the same directory; what a power cut takes with it is not
// (writes are not synced, as in Kafka itself).
func StartEmbedded(o EmbeddedOptions) (*Embedded, error) {
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	listen, err := listenOn(o.Addr)
	if err != nil {
		return nil, err
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("angzarr-embedded"),
		kfake.ListenFn(listen),
		kfake.WithLogger(fakeLogger{logger}),
	}
	e := &Embedded{}
	if o.Dir != "" {
		if e.lock, err = lockDir(o.Dir); err != nil {
			return nil, err
		}
		opts = append(opts, kfake.DataDir(o.Dir))
	}
	if e.fake, err = kfake.NewCluster(append(opts, o.Fake...)...); err != nil {
		e.lock.release()
		return nil, startError(o, err)
	}
	logger.Info("embedded Kafka is for development and tests: one copy of the data, no authentication",
		"brokers", e.Brokers(), "dir", whereabouts(o.Dir))
	return e, nil
}

// Brokers are the addresses that clients start from.
func (e *Embedded) Brokers() []string { return e.fake.ListenAddrs() }

// Fake gives tests the broker's fault controls.
func (e *Embedded) Fake() *kfake.Cluster { return e.fake }

// Close returns once everything is written and the directory is free for
// another process.
func (e *Embedded) Close() {
	e.fake.Close()
	e.lock.release()
}

type listenFunc = func(network, address string) (net.Listener, error)

// listenOn listens at addr, and at free loopback ports when more nodes are
// asked for than have an address.
func listenOn(addr string) (listenFunc, error) {
	if addr == "" {
		return net.Listen, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka: address %q is no host:port, such as 127.0.0.1:9092", addr)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		// Clients are told to come back to the address that is listened on.
		return nil, fmt.Errorf("embedded Kafka: address %q can't be told to clients: name the address that they shall use, such as 127.0.0.1:%s", addr, port)
	}
	return func(network, _ string) (net.Listener, error) {
		return net.Listen(network, net.JoinHostPort(host, port))
	}, nil
}

func startError(o EmbeddedOptions, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("embedded Kafka: address %s is in use by another process: choose another one, or end that process", o.Addr)
	}
	return fmt.Errorf("start embedded Kafka at %q with data in %s: %w", o.Addr, whereabouts(o.Dir), err)
}

func whereabouts(dir string) string {
	if dir == "" {
		return "memory"
	}
	return dir
}
