package log_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
)

func TestPingAnswers(t *testing.T) {
	t.Parallel()
	if err := logtest.Start(t).Cluster.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestPingSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	plain := embedded(t, log.EmbeddedOptions{}).Brokers()
	secured := embedded(t, log.EmbeddedOptions{Fake: []kfake.Opt{
		kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "ann", "right"),
	}}).Brokers()
	for name, row := range map[string]struct {
		cluster log.Cluster
		says    []string
	}{
		"no broker":         {log.Cluster{}, []string{"log.brokers"}},
		"nobody there":      {log.Cluster{Brokers: []string{"127.0.0.1:1", "127.0.0.1:2"}}, []string{"127.0.0.1:1, 127.0.0.1:2", "refused"}},
		"no port":           {log.Cluster{Brokers: []string{"127.0.0.1:port"}}, []string{"127.0.0.1:port"}},
		"TLS where none is": {log.Cluster{Brokers: plain, TLS: &tls.Config{}}, []string{plain[0], "TLS"}},
		"wrong password":    {log.Cluster{Brokers: secured, SASL: &log.SASL{Mechanism: "SCRAM-SHA-256", User: "ann", Password: "wrong"}}, []string{secured[0], "SASL"}},
		"unknown mechanism": {log.Cluster{Brokers: secured, SASL: &log.SASL{Mechanism: "GSSAPI", User: "ann"}}, []string{`"GSSAPI"`, "PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512"}},
		"no user":           {log.Cluster{Brokers: secured, SASL: &log.SASL{Mechanism: "PLAIN"}}, []string{"no user"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A plain broker waits for the rest of what TLS says.
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			wantError(t, row.cluster.Ping(ctx), row.says...)
		})
	}
}

func TestSASLMechanisms(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			e := embedded(t, log.EmbeddedOptions{Fake: []kfake.Opt{
				kfake.EnableSASL(), kfake.Superuser(mechanism, "ann", "right"),
			}})
			cluster := log.Cluster{Brokers: e.Brokers(), SASL: &log.SASL{Mechanism: mechanism, User: "ann", Password: "right"}}
			if err := cluster.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnknownMechanismNeverConnectsWithoutOne(t *testing.T) {
	t.Parallel()
	cluster := log.Cluster{
		Brokers: embedded(t, log.EmbeddedOptions{}).Brokers(),
		SASL:    &log.SASL{Mechanism: "none", User: "ann"},
	}
	client, err := kgo.NewClient(cluster.Options("test")...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Ping(t.Context()); err == nil {
		t.Error("connected although the mechanism is unknown")
	}
}

func TestPasswordIsNotLogged(t *testing.T) {
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("", "sasl", log.SASL{Mechanism: "PLAIN", User: "ann", Password: "secret"})
	if line := out.String(); strings.Contains(line, "secret") || !strings.Contains(line, "ann") {
		t.Errorf("logged %q", line)
	}
}

func embedded(t *testing.T, o log.EmbeddedOptions) *log.Embedded {
	t.Helper()
	e, err := log.StartEmbedded(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// wantError wants one line with all of these in it.
func wantError(t *testing.T, err error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", says)
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has more than one line: %q", err)
	}
}
