package logtest

import (
	"net"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
)

// StartLasting gives a test an embedded broker that can be restarted: what was
// written is there again, at the same address. A real Kafka is shared by all
// tests, so the test is skipped there.
func StartLasting(t testing.TB) (b *Broker, restart func()) {
	t.Helper()
	b = Start(t)
	b.RequireFake(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options := log.EmbeddedOptions{Dir: t.TempDir(), Addr: l.Addr().String()}
	l.Close()
	embedded, err := log.StartEmbedded(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { embedded.Close() })
	b.Fake, b.Cluster.Brokers = embedded.Fake(), embedded.Brokers()
	return b, func() {
		t.Helper()
		embedded.Close()
		if embedded, err = log.StartEmbedded(options); err != nil {
			t.Fatal(err)
		}
		b.Fake = embedded.Fake()
	}
}
