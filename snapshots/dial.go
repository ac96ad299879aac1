package snapshots

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options say where Redis is, and how to talk to it.
type Options struct {
	Address  string // of Redis, or of one node of a cluster
	Username string
	Password string
	TLS      *tls.Config // nil: plain text
	Cluster  bool
	Metrics  *Metrics
	Logger   *slog.Logger
}

// ErrRefused is wrapped by the error about a Redis that can't hold a shelf. Its
// text names the setting to change.
var ErrRefused = errors.New("snapshots")

// openTimeout is how long Redis may take to answer at start before it counts as away.
const openTimeout = 5 * time.Second

// Open connects. A Redis that answers and can't be used is refused; nobody there
// is no reason not to start: books come from the log until Redis is there.
func Open(ctx context.Context, o Options) (*Shelf, error) {
	s := connect(o)
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err := s.check(ctx)
	if err != nil && !errors.Is(err, ErrRefused) {
		err = s.otherwise(err)
	}
	switch {
	case err == nil:
		s.checked.Store(true)
	case errors.Is(err, ErrRefused):
		s.Close()
		return nil, err
	default:
		s.trouble.Store(true)
		s.log.Error("nobody answers at snapshots.address: books are read from the log, which is slow, until Redis is there",
			"address", o.Address, "error", err)
	}
	return s, nil
}

// connect makes a shelf of a Redis that nobody has asked anything yet.
func connect(o Options) *Shelf {
	hush()
	u := &redis.UniversalOptions{
		Addrs: []string{o.Address}, IsClusterMode: o.Cluster,
		Username: o.Username, Password: o.Password, TLSConfig: o.TLS,
		ClientName: "angzarr", ContextTimeoutEnabled: true,
		DialTimeout: openTimeout, DialerRetries: 1, ReadTimeout: opTimeout, WriteTimeout: opTimeout,
		// Once, for connections that a restart has left behind. Whoever waits
		// longer has the log to ask; and a write that was made already is known
		// by its mark.
		MaxRetries: 1,
	}
	return newShelf(redis.NewUniversalClient(u), o)
}

// hush has the client not write to standard error: what it would say comes back
// as errors, too.
var hush = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// check says why Redis can't be used. The error wraps [ErrRefused] unless it may
// be another one in a moment, with nothing done.
func (s *Shelf) check(ctx context.Context) error {
	cluster, isCluster := s.client.(*redis.ClusterClient)
	if !isCluster {
		return s.checkNode(ctx, s.client)
	}
	// A node that is none of a cluster's says so to anyone who asks.
	var mu sync.Mutex
	nodes := 0
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		mu.Lock()
		nodes++
		mu.Unlock()
		return s.checkNode(ctx, node)
	})
	if err == nil && nodes == 0 {
		err = errors.New("the cluster has no nodes")
	}
	return s.meaning(err)
}

func (s *Shelf) checkNode(ctx context.Context, node redis.Cmdable) error {
	info, err := node.Info(ctx).Result()
	if err != nil {
		return s.meaning(err)
	}
	// What a rebuild needs later.
	if _, err := node.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Ping(ctx).Err() }); err != nil {
		return s.meaning(err)
	}
	return s.judge(factsOf(info))
}

// hasEvicted is for what was done under another policy than noeviction.
const hasEvicted = "it has evicted %s keys, and books may be among them: delete all angzarr:* there (FLUSHDB, say), then CONFIG RESETSTAT"

// judge judges what INFO says. What it doesn't say is not held against it.
func (s *Shelf) judge(facts map[string]string) error {
	cluster := facts["cluster_enabled"] == "1"
	policy, known := facts["maxmemory_policy"]
	switch {
	case cluster && !s.options.Cluster:
		return s.refuse("it is a node of a Redis Cluster: set snapshots.cluster: true")
	case !cluster && s.options.Cluster:
		return s.refuse("it is no Redis Cluster: set snapshots.cluster: false, or the address of a cluster's node")
	case known && policy != "noeviction":
		return s.refuse("its maxmemory-policy is %s, so that single books may vanish and their aggregates would look new: set maxmemory-policy noeviction there", policy)
	case facts["evicted_keys"] != "" && facts["evicted_keys"] != "0":
		return s.refuse(hasEvicted, facts["evicted_keys"])
	case facts["role"] == "slave" && !s.options.Cluster:
		return s.refuse("it is a replica, which takes no writes: set snapshots.address to the master's")
	}
	return nil
}

// meaning tells what an operator has to change from what passes.
func (s *Shelf) meaning(err error) error {
	var (
		dns     *net.DNSError
		record  tls.RecordHeaderError
		invalid *tls.CertificateVerificationError
	)
	said := ""
	if err != nil {
		said = err.Error()
	}
	switch {
	case err == nil, errors.Is(err, ErrRefused):
		return err
	case redis.HasErrorPrefix(err, "WRONGPASS"), strings.Contains(said, "invalid password"), strings.Contains(said, "WRONGPASS"):
		return s.refuse("it knows no such user with that password: set snapshots.username and snapshots.password (%v)", err)
	case strings.Contains(said, "NOAUTH"):
		return s.refuse("it wants a password: set snapshots.password, and snapshots.username if it has users (%v)", err)
	case strings.Contains(said, "without any password configured"):
		return s.refuse("it has no password: remove snapshots.password, or set one there (%v)", err)
	case strings.Contains(said, "NOPERM"):
		return s.refuse("the user may not do what a shelf needs: grant +@read +@write +@scripting +@transaction +@connection +info (+cluster at a Redis Cluster) and ~angzarr:* (%v)", err)
	case strings.Contains(said, "cluster support disabled"):
		return s.refuse("it is no Redis Cluster: set snapshots.cluster: false, or the address of a cluster's node")
	case errors.As(err, &dns) && dns.IsNotFound:
		return s.refuse("there is no such host: set snapshots.address (%v)", err)
	case errors.As(err, &record):
		return s.refuse("it does not speak TLS: remove snapshots.tls, or set the address of its TLS port (%v)", err)
	case errors.As(err, &invalid):
		return s.refuse("its certificate is not to be trusted: set snapshots.tls.ca or snapshots.tls.server_name (%v)", err)
	case strings.HasPrefix(said, "redis: can't parse"), strings.Contains(said, "invalid reply"):
		return s.refuse("it is no Redis: set snapshots.address (%v)", err)
	}
	return err
}

// otherwise finds out whether one that says nothing would if it was spoken to
// without TLS, or with it.
func (s *Shelf) otherwise(err error) error {
	dialer := &net.Dialer{Timeout: openTimeout}
	if s.options.TLS == nil {
		// Whether to trust it is not the question yet.
		conn, failed := tls.DialWithDialer(dialer, "tcp", s.options.Address, &tls.Config{InsecureSkipVerify: true})
		if failed != nil {
			return err
		}
		conn.Close()
		return s.refuse("it speaks TLS: set snapshots.tls, or the address of its port without it")
	}
	conn, failed := dialer.Dial("tcp", s.options.Address)
	if failed != nil {
		return err
	}
	defer conn.Close()
	var answer [1]byte
	if failed = conn.SetDeadline(time.Now().Add(openTimeout)); failed == nil {
		_, failed = conn.Write([]byte("PING\r\n"))
	}
	if failed == nil {
		_, failed = conn.Read(answer[:])
	}
	if failed == nil && (answer[0] == '+' || answer[0] == '-') {
		return s.refuse("it does not speak TLS: remove snapshots.tls, or set the address of its TLS port")
	}
	return err
}

func (s *Shelf) refuse(format string, args ...any) error {
	return fmt.Errorf("%w: Redis at %s can't hold the shelf: %s", ErrRefused, s.options.Address, fmt.Sprintf(format, args...))
}
