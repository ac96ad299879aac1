package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
)

// A process killed in the midst of it leaves its books on the shelf; the next one
// begins from there.
func TestServeWithAShelf(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	domain := b.Domain("shelf")
	_, logic := serveSlowLogic(t, func(context.Context, int32) error { return nil })
	dir := shelfConfig(t, b, domain, logic, redistest.Start(t))
	root := uuid.New()
	for n := range 3 {
		r := start(t, dir, "serve", "--config", "angzarr.yaml")
		door := r.wait(t, `msg=ready listen=(\S+)`)[1]
		took := r.wait(t, `took over a partition.*records=(\d+)`)[1]
		if n > 1 && took == "2" { // the last may not have been written any more
			t.Error("a takeover with a shelf read all of the log")
		}
		if err := callOnce(t.Context(), door, domain, root); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			r.stop(t, syscall.SIGTERM)
			continue
		}
		r.cmd.Process.Kill()
	}
}

// What can't hold a shelf is refused at start, in one line.
func TestServeRefusesARedis(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	dir := shelfConfig(t, b, b.Domain("shelf"), "127.0.0.1:1", redistest.Own(t, "--maxmemory-policy", "allkeys-lru").Address)
	r := start(t, dir, "serve", "--config", "angzarr.yaml", "--log-level", "error")
	if err := <-r.ended; err == nil {
		t.Error("it served")
	}
	said := strings.TrimSpace(r.all())
	if strings.Contains(said, "\n") || !strings.HasPrefix(said, "angzarr: snapshots: ") || !strings.Contains(said, "set maxmemory-policy noeviction") {
		t.Errorf("it said %q", said)
	}
}

// A Redis that is away keeps no process from starting: it says so, with the setting
// that may be wrong, until Redis is there.
func TestServeWithoutItsRedis(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	domain := b.Domain("shelf")
	_, logic := serveSlowLogic(t, func(context.Context, int32) error { return nil })
	redis := redistest.Own(t)
	redis.Kill()
	r := start(t, shelfConfig(t, b, domain, logic, redis.Address), "serve", "--config", "angzarr.yaml")
	ready := r.wait(t, `msg=ready listen=(\S+) admin=(\S+)`)
	if !regexp.MustCompile(`level=ERROR .*snapshots\.address.*address=` + redis.Address).MatchString(r.all()) {
		t.Errorf("it said %s", r.all())
	}
	said := func() string {
		answer, err := http.Get("http://" + ready[2] + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusOK || !strings.HasPrefix(string(text), "ok\n") {
			t.Errorf("/readyz: %s: %s", answer.Status, text)
		}
		return string(text)
	}
	if err := callOnce(t.Context(), ready[1], domain, uuid.New()); err != nil {
		t.Error(err)
	}
	if s := said(); !strings.Contains(s, "snapshots.address") || !strings.Contains(s, redis.Address) {
		t.Errorf("while Redis is away, /readyz says %q", s)
	}
	redis.Run()
	waitFor(t, "/readyz says no more than ok", func() bool { return said() == "ok\n" })
	r.stop(t, syscall.SIGTERM)
}

func shelfConfig(t *testing.T, b *logtest.Broker, domain, logic, redis string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	config := fmt.Sprintf(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
log: {brokers: [%s], partitions: 1}
snapshots: {type: redis, address: "%s"}
business_logic:
  - {domain: %s, address: "%s"}
`, `"`+strings.Join(b.Cluster.Brokers, `","`)+`"`, redis, domain, logic)
	if err := os.WriteFile(filepath.Join(dir, "angzarr.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
