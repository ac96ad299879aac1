package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"google.golang.org/grpc"

	"github.com/angzarr/angzarr-kafka/log/logtest"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// askDoor runs a command against a front door, and gives what it printed.
func askDoor(t *testing.T, address string, want int, args ...string) string {
	t.Helper()
	var out, errs strings.Builder
	args = append(args, "--server", address)
	if got := run(t.Context(), args, strings.NewReader(""), &out, &errs); got != want {
		t.Fatalf("angzarr %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), got, want, &out, &errs)
	}
	return out.String() + errs.String()
}

// TestServeRebuilds has a projector rebuilt, beside and in place, and paused, at the
// front doors of two processes, of which one is killed meanwhile.
func TestServeRebuilds(t *testing.T) {
	b := logtest.Start(t)
	orders, summary := b.Domain("order"), b.Domain("summary")
	server := grpc.NewServer()
	pb.RegisterBusinessLogicServer(server, &orderLogic{stock: "stock"})
	pb.RegisterProjectorServer(server, lastEvent{})
	address, err := listenAndServe(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	serve := func() (*running, string) {
		dir := t.TempDir()
		config := fmt.Sprintf(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
peers: {listen: "127.0.0.1:0", insecure: true}
log: {brokers: [%s], partitions: 2}
business_logic: [{domain: %s, address: "%s"}]
projectors: [{name: %s, domains: [%[2]s], address: "%[3]s"}]
`, `"`+strings.Join(b.Cluster.Brokers, `","`)+`"`, orders, address, summary)
		if err := os.WriteFile(filepath.Join(dir, "angzarr.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		r := start(t, dir, "serve", "--config", "angzarr.yaml")
		return r, r.wait(t, `msg=ready listen=(\S+)`)[1]
	}
	first, door := serve()
	second, other := serve()
	root := uuid.New()
	projects := func(what string) {
		t.Helper()
		dialDoor(t, other).order(t, orders, root, what)
		waitFor(t, "the projection of "+what, func() bool {
			return published(t, b, summary)[root] == orders+": order "+what+" done"
		})
	}
	standing := func(at string) (j projectorJSON) {
		t.Helper()
		if err := json.Unmarshal([]byte(askDoor(t, at, exitDone, "projectors", "list", summary, "-o", "json")), &j); err != nil {
			t.Fatal(err)
		}
		return j
	}
	projects("lamp")
	if said := askDoor(t, door, exitDone, "projectors", "rebuild", summary, "--wait"); !strings.Contains(said, "version 2 is the one that is shown") {
		t.Errorf("a rebuild said:\n%s", said)
	}
	projects("chair")
	if said := askDoor(t, other, exitDone, "projectors", "pause", summary); !strings.Contains(said, "is paused") {
		t.Errorf("a pause said:\n%s", said)
	}
	askDoor(t, other, exitDone, "projectors", "rebuild", summary, "--in-place")
	if said := askDoor(t, door, exitFailed, "projectors", "rebuild", summary); !strings.Contains(said, "FAILED_PRECONDITION") {
		t.Errorf("a second rebuild said:\n%s", said)
	}
	if said := askDoor(t, door, exitFailed, "projectors", "pause", "x"+summary); !strings.Contains(said, "NOT_FOUND") {
		t.Errorf("of another projector it said:\n%s", said)
	}
	if said := askDoor(t, door, exitDone, "projectors", "list"); !strings.Contains(said, "version 3 in place: resetting") {
		t.Errorf("the list says:\n%s", said)
	}
	first.cmd.Process.Kill()
	askDoor(t, other, exitDone, "projectors", "resume", summary)
	waitFor(t, "version 3", func() bool { j := standing(other); return j.Version == 3 && j.Rebuild == nil && j.Processes == 1 })
	projects("table")
	if j := standing(other); j.Paused || j.Projector != summary {
		t.Errorf("in the end it is %+v", j)
	}
	second.stop(t, syscall.SIGTERM)
}
