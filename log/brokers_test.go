package log_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
)

func TestCheckBroker(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	facts, err := log.CheckBroker(t.Context(), b.Client(t))
	if err != nil {
		t.Fatal(err)
	}
	if facts.OffsetsRetention != week {
		t.Errorf("offsets are kept for %v, want %v", facts.OffsetsRetention, week)
	}
	if facts.TransactionVersion < 0 || facts.TransactionVersion > 2 {
		t.Errorf("transaction.version %d", facts.TransactionVersion)
	}
	if known := facts.TxnRetryBackoff > 0; known != (b.Fake == nil) {
		t.Errorf("retry backoff %v; only a real Kafka has one", facts.TxnRetryBackoff)
	}
}

func TestCheckBrokerReadsTransactionVersion(t *testing.T) {
	t.Parallel()
	for release, row := range map[string]struct {
		versions *kversion.Versions
		want     int16
	}{
		"3.6": {kversion.V3_6_0(), 0},
		"4.0": {kversion.V4_0_0(), 2},
	} {
		b := logtest.Start(t, kfake.MaxVersions(row.versions))
		facts, err := log.CheckBroker(t.Context(), b.Client(t))
		if err != nil || facts.TransactionVersion != row.want {
			t.Errorf("Kafka %s: transaction.version %d, %v; want %d", release, facts.TransactionVersion, err, row.want)
		}
	}
}

func TestCheckBrokerRefusesOneThatCannotFence(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t, kfake.MaxVersions(kversion.V2_4_0()))
	_, err := log.CheckBroker(t.Context(), b.Client(t))
	wantError(t, err, "TxnOffsetCommit up to version 2", "Kafka 2.5 or newer")
}

func TestCheckBrokerWithoutRightToSettings(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	b.RequireFake(t)
	b.Fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.DescribeConfigs}, Err: kerr.ClusterAuthorizationFailed, Count: -1})
	facts, err := log.CheckBroker(t.Context(), b.Client(t))
	if err != nil || facts.OffsetsRetention != 0 {
		t.Errorf("offsets retention %v, %v; want it to be unknown, and no error", facts.OffsetsRetention, err)
	}
}
