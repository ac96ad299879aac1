package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
)

// TestLiveScripts runs the transcripts in testdata/live against one process that
// serves the inventory example as $DOMAIN, with a shelf in Redis. Its configuration
// is $CONFIG, its brokers are $BROKERS, its business logic is at $LOGIC. Each has a
// root of its own, $ROOT.
func TestLiveScripts(t *testing.T) {
	broker, shelf, dir := logtest.Start(t), redistest.Start(t), t.TempDir()
	server := grpc.NewServer()
	inventory.Register(server)
	logic, err := listenAndServe(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	domain, ports, file := broker.Domain("stock"), freePorts(t, 2), filepath.Join(dir, "angzarr.yaml")
	text := fmt.Sprintf(`
listen: %s
admin: 127.0.0.1:0
peers: {listen: '%s', insecure: true}
log: {brokers: [%s], partitions: 4, replication_factor: 1}
snapshots: {type: redis, address: '%s'}
business_logic: [{domain: %s, address: '%s'}]
`, ports[0], ports[1], strings.Join(broker.Cluster.Brokers, ", "), shelf, domain, logic)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	process := start(t, dir, "serve", "--config", file)
	process.wait(t, "(?s)(took over a partition.*){4}")

	t.Run("scripts", func(t *testing.T) {
		testscript.Run(t, testscript.Params{
			Dir:           "testdata/live",
			UpdateScripts: *update,
			Cmds:          map[string]func(*testscript.TestScript, bool, []string){"spoil": spoil(t, broker, domain)},
			Setup: func(env *testscript.Env) error {
				env.Setenv("ANGZARR_SERVER", ports[0])
				env.Setenv("DOMAIN", domain)
				env.Setenv("BROKERS", strings.Join(broker.Cluster.Brokers, ","))
				env.Setenv("CONFIG", file)
				env.Setenv("LOGIC", logic)
				env.Setenv("REDIS", shelf)
				env.Setenv("PEER", ports[1])
				root, err := uuid.NewV7()
				if err != nil {
					return err
				}
				env.Setenv("ROOT", root.String())
				wrong := fmt.Sprintf(`
log: {brokers: [%s]}
snapshots: {type: redis, address: '127.0.0.1:1'}
business_logic: [{domain: %s, address: '127.0.0.1:1'}]
projectors: [{name: inventory-summary, address: '%s'}]
`, strings.Join(broker.Cluster.Brokers, ", "), domain, logic)
				return os.WriteFile(filepath.Join(env.WorkDir, "amiss.yaml"), []byte(wrong), 0o600)
			},
		})
	})
	t.Run("the shelf", func(t *testing.T) { verifyShelf(t, file, domain, shelf) })
	process.stop(t, syscall.SIGTERM)
}

// verifyShelf compares a shelf that nobody writes to any more with the log, as it
// is and with a byte that is another.
func verifyShelf(t *testing.T, config, domain, address string) {
	verify := func(want int, says string) {
		t.Helper()
		var out, errs strings.Builder
		got := run(t.Context(), []string{"verify", domain, "--config", config}, nil, &out, &errs)
		if got != want || !strings.Contains(out.String(), says) {
			t.Errorf("exit status %d, want %d and %q:\n%s%s", got, want, says, &out, &errs)
		}
	}
	eventually(t, "the shelf is behind", func() bool {
		var out, errs strings.Builder
		run(t.Context(), []string{"verify", domain, "--config", config}, nil, &out, &errs)
		return strings.Count(out.String(), " books up to offset ") == 4
	})
	verify(exitDone, "nothing is wrong")

	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	books, err := client.Keys(t.Context(), "angzarr:{"+domain+"/*}:b:*").Result()
	if err != nil || len(books) == 0 {
		t.Fatal(books, err)
	}
	if err := client.SetRange(t.Context(), books[0], 40, "\xff\xfe\xfd").Err(); err != nil {
		t.Fatal(err)
	}
	verify(exitFailed, "it is corrupt")
}

// spoil writes pages straight into the events topic of a domain that nobody
// serves, of which one has a wrong number, and names the domain by $SPOILT.
func spoil(t *testing.T, broker *logtest.Broker, near string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		domain := strings.Replace(near, "stock", "spoilt", 1)
		ctx := t.Context()
		admin, err := broker.Cluster.NewAdmin("spoil")
		ts.Check(err)
		defer admin.Close()
		_, err = admin.EnsureDomain(ctx, domain, log.TopicSettings{Partitions: 3, ReplicationFactor: 1})
		ts.Check(err)
		writer, err := broker.Cluster.NewWriter("spoil")
		ts.Check(err)
		defer writer.Close()
		root := log.Root(uuid.MustParse("550e8400-e29b-41d4-a716-446655440000"))
		for _, number := range []uint32{1, 2, 4} {
			page := log.Page{Root: root, Sequence: number, TypeURL: "type.googleapis.com/inventory.StockAdjusted", Cause: log.Cause{CommandID: fmt.Sprint("c-", number), CorrelationID: fmt.Sprint("c-", number)}}
			record := page.Encode(domain, partitioning.Of(root, 3))
			ts.Check(writer.Write(ctx, &record))
		}
		ts.Setenv("SPOILT", domain)
	}
}
