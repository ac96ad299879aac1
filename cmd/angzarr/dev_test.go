package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/log"
)

// TestDev is a newcomer's first half hour: dev before the logic, the logic comes,
// the printed lines are pasted, and all is there again the next day.
func TestDev(t *testing.T) {
	dir := t.TempDir()
	logic := listen(t)
	address := logic.Addr().String()
	logic.Close()
	args := []string{"dev", "--logic", "inventory=" + address, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--kafka", "127.0.0.1:0"}
	r := start(t, dir, args...)
	r.wait(t, `^Nothing answers at `+address+` yet: commands of inventory wait for it\.$`)
	kafka := r.wait(t, `^Kafka +(\S+)`)[1]
	if err := (log.Cluster{Brokers: []string{kafka}}).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	send, events := r.wait(t, `^  (angzarr send .*)$`)[1], r.wait(t, `^  (angzarr events .*)$`)[1]

	logic, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("%s was taken meanwhile: %v", address, err)
	}
	serving, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- inventory.Serve(serving, logic) }()
	r.wait(t, `^The business logic of inventory answers at `)
	created := pasted(t, send)
	if !strings.Contains(created, `inventory.ProductCreated  {"sku":"A-1","name":"Lamp","quantity":5}`) {
		t.Errorf("%s\n%s", send, created)
	}
	read := pasted(t, events)
	for _, tc := range []struct{ instead, more, want string }{
		{"book", "", read},
		{"book", "--as-of 1", read},
		{"events", "--as-of 1", read},
		{"events", "--as-of 2020-01-31T12:00:00Z", "had no events then"},
		{"events", "--as-of 9 || true", "NOT_FOUND: as_of_sequence: 9 is after the aggregate's last page, 1"},
		{"events", "--as-of yesterday || true", "want a page's number, such as 17, or a time, such as 2026-01-31T12:00:00Z"},
	} {
		line := strings.Replace(events, " events ", " "+tc.instead+" ", 1) + " " + tc.more
		if got := pasted(t, line); !strings.Contains(got, tc.want) {
			t.Errorf("%s\n%swant %s", line, got, tc.want)
		}
	}
	words := strings.Fields(events)
	roots := strings.Replace(events, " events inventory "+words[3], " roots", 1)
	if got := pasted(t, roots); got != "inventory "+words[3]+"\n" {
		t.Errorf("%s\n%s", roots, got)
	}
	stop()
	r.wait(t, `^Nothing answers at `+address+` any more: commands of inventory wait for it\.$`)
	r.stop(t, syscall.SIGINT)
	r.wait(t, `^Stopped\. The data stays in data\.$`)

	r = start(t, dir, args...)
	server := r.wait(t, `^front door +(\S+)`)[1]
	if again := pasted(t, strings.Join(words[:4], " ")+" --server "+server); again != read {
		t.Errorf("after a restart:\n%s\nbefore:\n%s", again, read)
	}
	r.stop(t, syscall.SIGTERM)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// What is wrong is one line that names the flag and what would be right.
func TestDevSaysWhatIsWrong(t *testing.T) {
	taken := listen(t).Addr().String()
	dir := t.TempDir()
	held, err := log.StartEmbedded(log.EmbeddedOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(held.Close)
	free := []string{"--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--data", "", "--log-level", "error"}
	good := append([]string{"--logic", "inventory=127.0.0.1:1"}, free...)
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"no logic", free, exitUsage, "--logic is missing: want DOMAIN=HOST:PORT, such as --logic inventory=localhost:50051"},
		{"no address", append(free, "--logic", "inventory"), exitUsage, "--logic inventory: want DOMAIN=HOST:PORT, such as inventory=localhost:50051"},
		{"no port", append(free, "--logic", "inventory=localhost"), exitUsage, `--logic inventory=localhost: want host:port, such as localhost:50051 (an IPv6 host in brackets), not "localhost"`},
		{"no name", append(free, "--logic", "=localhost:1"), exitUsage, "--logic =localhost:1: required: want lower-case letters, digits, - and _, such as order-fulfillment"},
		{"one domain twice", append(good, "--logic", "inventory=localhost:2"), exitUsage, `--logic inventory=localhost:2: "inventory" is given at --logic inventory=127.0.0.1:1 already: one service a domain: remove one of the two`},
		{"no name of a saga", append(good, "--saga", "localhost:1"), exitUsage, "--saga localhost:1: want NAME=HOST:PORT, such as fulfillment=localhost:50051"},
		{"no port of a projector", append(good, "--projector", "summary=localhost"), exitUsage, `--projector summary=localhost: want host:port, such as localhost:50051`},
		{"front door taken", append(good, "--listen", taken), exitFailed, "--listen: " + taken + " is in use by another process: end that one, or choose another port"},
		{"admin taken", append(good, "--admin", taken), exitFailed, "--admin: " + taken + " is in use by another process: end that one, or choose another port"},
		{"Kafka taken", append(good, "--kafka", taken), exitFailed, "--kafka: address " + taken + " is in use by another process: choose another one, or end that process"},
		{"data taken", append(good, "--data", dir), exitFailed, "--data: directory " + dir + " is in use by process "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			got := run(t.Context(), append([]string{"dev"}, tc.args...), nil, &stdout, &stderr)
			said := strings.TrimSuffix(stderr.String(), "See 'angzarr dev --help'.\n")
			if got != tc.status || !strings.HasPrefix(said, "angzarr: "+tc.want) || strings.Count(said, "\n") != 1 {
				t.Errorf("exit status %d, want %d; said\n%swant\n%s", got, tc.status, said, tc.want)
			}
		})
	}
}
