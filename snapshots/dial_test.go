package snapshots

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
	"github.com/redis/go-redis/v9"
)

// A Redis that can't hold a shelf is refused at start, with what to change.
func TestARedisThatIsRefused(t *testing.T) {
	own := func(args ...string) func(*testing.T) string {
		return func(t *testing.T) string { return redistest.Own(t, args...).Address }
	}
	for _, tc := range []struct {
		name    string
		address func(*testing.T) string
		change  func(*Options)
		want    string
	}{
		{"one that evicts", own("--maxmemory-policy", "allkeys-lru"), nil, "set maxmemory-policy noeviction"},
		{"one that evicts what expires", own("--maxmemory-policy", "volatile-ttl"), nil, "maxmemory-policy is volatile-ttl"},
		{"a node of a cluster as one of its own", own("--cluster-enabled", "yes"), nil, "set snapshots.cluster: true"},
		{"one of its own as a cluster", own(), func(o *Options) { o.Cluster = true }, "set snapshots.cluster: false"},
		{"a wrong password", own(), func(o *Options) { o.Username, o.Password = "somebody", "wrong" }, "set snapshots.username and snapshots.password"},
		{"TLS to one without", own(), func(o *Options) { o.TLS = &tls.Config{InsecureSkipVerify: true} }, "remove snapshots.tls"},
		{"no TLS to one with", func(t *testing.T) string { address, _ := withTLS(t); return address }, nil, "set snapshots.tls"},
		{"TLS of an authority that is not trusted", func(t *testing.T) string { address, _ := withTLS(t); return address },
			func(o *Options) { o.TLS = &tls.Config{} }, "set snapshots.tls.ca"},
		{"no such host", func(*testing.T) string { return "no-such-host.invalid:6379" }, nil, "set snapshots.address"},
		{"a replica", func(t *testing.T) string {
			_, port, _ := net.SplitHostPort(redistest.Own(t).Address)
			return redistest.Own(t, "--replicaof", "127.0.0.1", port).Address
		}, nil, "it is a replica"},
		{"something else", func(t *testing.T) string {
			s := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(s.Close)
			return strings.TrimPrefix(s.URL, "http://")
		}, nil, "it is no Redis"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			o := shelfOptions(t, tc.address(t))
			if tc.change != nil {
				tc.change(&o)
			}
			s, err := Open(t.Context(), o)
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("it said %v, want one line with %q", err, tc.want)
			}
			if o.Password != "" && err != nil && strings.Contains(err.Error(), o.Password) {
				t.Errorf("the password is in %v", err)
			}
		})
	}
	t.Run("without the password that it wants", func(t *testing.T) {
		server := redistest.Own(t)
		server.Set("requirepass", "secret")
		if _, err := Open(t.Context(), shelfOptions(t, server.Address)); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "set snapshots.password") {
			t.Errorf("it said %v", err)
		}
		o := shelfOptions(t, server.Address)
		o.Password = "secret"
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
	})
}

func TestRedisByTLS(t *testing.T) {
	address, trusted := withTLS(t)
	o := shelfOptions(t, address)
	o.TLS = &tls.Config{RootCAs: trusted}
	useShelf(t, o)
}

// withTLS puts TLS before a Redis.
func withTLS(t *testing.T) (address string, trusted *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler()) // which has a certificate
	s.Close()
	trusted = x509.NewCertPool()
	trusted.AddCert(s.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: s.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	target := redistest.Start(t)
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				in.Close()
				continue
			}
			go func() { defer in.Close(); defer out.Close(); io.Copy(out, in) }()
			go func() { defer in.Close(); defer out.Close(); io.Copy(in, out) }()
		}
	}()
	return l.Addr().String(), trusted
}

// A user needs no more rights than the refusal says.
func TestAUserWithRightsOfItsOwn(t *testing.T) {
	server := redistest.Own(t)
	admin := server.Client()
	if err := admin.ACLSetUser(t.Context(), "angzarr", "on", ">secret", "~angzarr:*", "+@read", "+@write", "+@scripting", "+@transaction", "+@connection", "+info").Err(); err != nil {
		t.Fatal(err)
	}
	o := shelfOptions(t, server.Address)
	o.Username, o.Password = "angzarr", "secret"
	useShelf(t, o)
	for _, right := range []string{"exec", "info"} {
		if err := admin.ACLSetUser(t.Context(), "angzarr", "-"+right).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), o); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "grant") {
			t.Errorf("without the right to %s it said %v", right, err)
		}
		if err := admin.ACLSetUser(t.Context(), "angzarr", "+"+right).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARedisCluster(t *testing.T) {
	o := shelfOptions(t, ownCluster(t))
	o.Cluster = true
	if _, ok := useShelf(t, o).shelf.client.(*redis.ClusterClient); !ok {
		t.Error("it was used as if it were no cluster")
	}
}

// useShelf has an owner use a shelf, and another take over from it.
func useShelf(t *testing.T, o Options) *shelfWorld {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	w := &shelfWorld{t: t, log: &eventLog{partition: 3}, shelf: s, domain: log.Domain{Name: "d", TombstoneRetention: day}, stop: func() {}}
	t.Cleanup(func() { w.stop() })
	x := newStorm(w, 5, 10)
	x.own(1)
	x.steps(100)
	x.calm()
	x.stop()
	x.forget()
	x.own(1)
	x.calm()
	return w
}
