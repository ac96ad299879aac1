// Package logtest gives tests a Kafka, and reads what they have written to it.
//
//	ANGZARR_TEST_BROKERS unset   an embedded broker for each test, in memory,
//	                             with fault controls
//	ANGZARR_TEST_BROKERS=a,b     the Kafka there, shared by all tests: no fault
//	                             controls, and topics are deleted at the end
//
// Invariants:
//   - Tests that run at the same time, in this process or another, never meet:
//     the names that [Broker.Domain] gives are used by one test only.
//   - What a test leaves behind is deleted, as long as its name was made by
//     [Broker.Domain].
package logtest

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
)

// BrokersVariable names the environment variable with the real brokers.
const BrokersVariable = "ANGZARR_TEST_BROKERS"

// Broker is the Kafka of one test.
type Broker struct {
	Cluster log.Cluster
	// Fake is nil on a real Kafka.
	Fake *kfake.Cluster

	suffix string // ends every name of this test
}

// Start gives a test its Kafka until the test ends. The options go to the
// embedded broker; a real one can't honour them, so the test is skipped there
// if there are any.
func Start(t testing.TB, opts ...kfake.Opt) *Broker {
	t.Helper()
	b := &Broker{suffix: suffix()}
	b.Cluster.Logger = logger(t)
	if addresses := os.Getenv(BrokersVariable); addresses != "" {
		if len(opts) > 0 {
			t.Skip("sets up the embedded broker; this run uses the Kafka in " + BrokersVariable)
		}
		b.Cluster.Brokers = strings.Split(addresses, ",")
		if err := b.Cluster.Ping(t.Context()); err != nil {
			t.Fatalf("%s: %v", BrokersVariable, err)
		}
		t.Cleanup(func() { b.sweep(t) })
		return b
	}
	embedded, err := log.StartEmbedded(log.EmbeddedOptions{Fake: opts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(embedded.Close)
	b.Fake = embedded.Fake()
	b.Cluster.Brokers = embedded.Brokers()
	return b
}

// RequireFake skips a test that needs the embedded broker's fault controls
// where there are none.
func (b *Broker) RequireFake(t testing.TB) {
	t.Helper()
	if b.Fake == nil {
		t.Skip("needs the embedded broker's fault controls; this run uses the Kafka in " + BrokersVariable)
	}
}

// Domain makes a domain's name that only this test uses; the same name for
// the same argument. It is as good for a projector's or a saga's.
func (b *Broker) Domain(name string) string { return name + "-" + b.suffix }

// Client connects until the test ends.
func (b *Broker) Client(t testing.TB, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	return connect(t, b.Cluster, opts...)
}

// CreateTopic returns once the topic can be written to. Settings are given as
// keys and values; there is one replica.
func (b *Broker) CreateTopic(t testing.TB, topic string, partitions int32, settings ...string) {
	t.Helper()
	config := make(map[string]*string)
	for i := 0; i < len(settings); i += 2 {
		config[settings[i]] = &settings[i+1]
	}
	admin := kadm.NewClient(b.Client(t))
	if _, err := admin.CreateTopic(t.Context(), partitions, 1, config, topic); err != nil {
		t.Fatalf("create %s: %v", topic, err)
	}
	for {
		ends, err := admin.ListEndOffsets(t.Context(), topic)
		if err == nil {
			err = ends.Error()
		}
		if err == nil {
			return
		}
		if !kerr.IsRetriable(err) {
			t.Fatalf("create %s: %v", topic, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("create %s: %v", topic, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func connect(t testing.TB, cluster log.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(cluster.Options("angzarr/test"), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func suffix() string {
	var random [5]byte
	rand.Read(random[:])
	return "t" + hex.EncodeToString(random[:])
}
