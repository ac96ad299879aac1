package logtest

import (
	"net"
	"os"
	"testing"

	"github.com/angzarr/angzarr-kafka/log"
)

// StartLasting gives a test an embedded broker that can be restarted: what was
// written is there again, at the same address. A real Kafka is shared by all
// tests, so the test is skipped there.
func StartLasting(t testing.TB) (b *Broker, restart func()) {
	t.Helper()
	l := startLasting(t)
	return l.broker, func() {
		t.Helper()
		l.stop()
		l.start()
	}
}

// StartLossy is StartLasting with a broker that can lose what was written since a
// moment, as one does whose replica became leader without having had it: the log
// is shorter then, and each partition has a leader of a later epoch.
func StartLossy(t testing.TB) (b *Broker, remember, lose func()) {
	t.Helper()
	l := startLasting(t)
	kept := l.options.Dir
	remember = func() {
		t.Helper()
		kept = t.TempDir()
		l.stop()
		if err := os.CopyFS(kept, os.DirFS(l.options.Dir)); err != nil {
			t.Fatal(err)
		}
		l.start()
	}
	return l.broker, remember, func() {
		t.Helper()
		l.stop()
		l.options.Dir = kept
		l.start()
		l.broker.Fake.ShufflePartitionLeaders()
	}
}

// lasting is an embedded broker with its data in a folder.
type lasting struct {
	testing.TB
	broker   *Broker
	options  log.EmbeddedOptions
	embedded *log.Embedded
}

func startLasting(t testing.TB) *lasting {
	t.Helper()
	b := Start(t)
	b.RequireFake(t)
	address, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address.Close()
	l := &lasting{TB: t, broker: b, options: log.EmbeddedOptions{Dir: t.TempDir(), Addr: address.Addr().String()}}
	l.start()
	t.Cleanup(l.stop)
	return l
}

func (l *lasting) stop() { l.embedded.Close() }

func (l *lasting) start() {
	l.Helper()
	var err error
	if l.embedded, err = log.StartEmbedded(l.options); err != nil {
		l.Fatal(err)
	}
	l.broker.Fake, l.broker.Cluster.Brokers = l.embedded.Fake(), l.embedded.Brokers()
}
