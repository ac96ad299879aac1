package log_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
)

// childDir makes this test binary a process of its own that runs an embedded
// broker in the directory until it is killed.
const childDir = "ANGZARR_TEST_EMBEDDED_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		e, err := log.StartEmbedded(log.EmbeddedOptions{Dir: dir})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(e.Brokers()[0])
		// Should the test end without a kill, this ends with it.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestEmbeddedKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "by", "it")
	e, err := log.StartEmbedded(log.EmbeddedOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	d := fill(t, e.Brokers())
	e.Close()

	e = embedded(t, log.EmbeddedOptions{Dir: dir})
	wantFilled(t, e.Brokers(), d)
}

func TestEmbeddedKeepsItsDataOverAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child, brokers := startChild(t, dir)
	d := fill(t, brokers)
	kill(t, child)

	e := embedded(t, log.EmbeddedOptions{Dir: dir})
	wantFilled(t, e.Brokers(), d)
}

func TestEmbeddedInMemoryForgets(t *testing.T) {
	t.Parallel()
	e, err := log.StartEmbedded(log.EmbeddedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, e.Brokers())
	e.Close()

	client := clientOf(t, embedded(t, log.EmbeddedOptions{}).Brokers())
	domains, err := log.Domains(t.Context(), client)
	if err != nil || len(domains) > 0 {
		t.Errorf("a new one has domains %v, %v", domains, err)
	}
}

func TestEmbeddedLocksItsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child, _ := startChild(t, dir)
	_, err := log.StartEmbedded(log.EmbeddedOptions{Dir: dir})
	wantError(t, err, dir, "in use by process "+strconv.Itoa(child.Process.Pid))
	kill(t, child)

	e, err := log.StartEmbedded(log.EmbeddedOptions{Dir: dir})
	if err != nil {
		t.Fatalf("after the process is gone: %v", err)
	}
	_, err = log.StartEmbedded(log.EmbeddedOptions{Dir: dir})
	wantError(t, err, "in use by process "+strconv.Itoa(os.Getpid()))
	e.Close()
	embedded(t, log.EmbeddedOptions{Dir: dir})
}

func TestEmbeddedFreesTheDirectoryWhenItCannotStart(t *testing.T) {
	t.Parallel()
	dir, taken := t.TempDir(), embedded(t, log.EmbeddedOptions{}).Brokers()[0]
	_, err := log.StartEmbedded(log.EmbeddedOptions{Dir: dir, Addr: taken})
	wantError(t, err, taken, "in use by another process")
	embedded(t, log.EmbeddedOptions{Dir: dir})
}

func TestEmbeddedListens(t *testing.T) {
	t.Parallel()
	if host, _, _ := net.SplitHostPort(embedded(t, log.EmbeddedOptions{}).Brokers()[0]); host != "127.0.0.1" {
		t.Errorf("listens on %s without being asked to", host)
	}
	port := freePort(t)
	if got := embedded(t, log.EmbeddedOptions{Addr: ":" + port}).Brokers(); len(got) != 1 || got[0] != "127.0.0.1:"+port {
		t.Errorf("listens on %v, want 127.0.0.1:%s", got, port)
	}
	for addr, says := range map[string]string{
		"9092":         "no host:port",
		"0.0.0.0:9092": "127.0.0.1:9092",
		"[::]:9092":    "127.0.0.1:9092",
	} {
		_, err := log.StartEmbedded(log.EmbeddedOptions{Addr: addr})
		wantError(t, err, strconv.Quote(addr), says)
	}
}

func TestEmbeddedRefusesAFileForADirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := log.StartEmbedded(log.EmbeddedOptions{Dir: file})
	wantError(t, err, file, "data directory")
}

func TestEmbeddedSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	e := embedded(t, log.EmbeddedOptions{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if line := out.String(); !strings.Contains(line, "for development and tests") || !strings.Contains(line, e.Brokers()[0]) {
		t.Errorf("it said %q", line)
	}
}

// fill makes a domain with two commands, one of them done.
func fill(t *testing.T, brokers []string) log.Domain {
	t.Helper()
	client := clientOf(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	d := ensure(t, client, "order", 2)
	for range 2 {
		r := &kgo.Record{Topic: log.CommandsTopic("order"), Partition: 1, Value: []byte("command")}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, client, "order", 1, 1)
	return d
}

func wantFilled(t *testing.T, brokers []string, d log.Domain) {
	t.Helper()
	client := clientOf(t, brokers)
	if again := ensure(t, client, "order", 7); again != d {
		t.Errorf("the domain is %+v, was %+v", again, d)
	}
	wantOffsets(t, client, "order", map[int32]int64{0: 0, 1: 1})
	if got := logtest.ReadCommitted(t, log.Cluster{Brokers: brokers}, log.CommandsTopic("order")); len(got) != 2 {
		t.Errorf("%d commands are left of 2", len(got))
	}
}

func clientOf(t *testing.T, brokers []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(log.Cluster{Brokers: brokers}.Options("test"), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func startChild(t *testing.T, dir string) (*exec.Cmd, []string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	child.Stderr = os.Stderr
	if _, err := child.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the other process's address: %v", err)
	}
	return child, []string{strings.TrimSpace(address)}
}

func kill(t *testing.T, child *exec.Cmd) {
	t.Helper()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// It was killed: an error is the expected end.
	_ = child.Wait()
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
