package chaos

import (
	"net"
	"os/exec"
	"testing"
	"time"
)

// startedRedis is a server of a test's own.
func startedRedis(t *testing.T) *redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("NOT TESTED: needs the program redis-server (Debian: apt-get install redis-server)")
	}
	r, err := newRedis(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	return r
}

// get gives the server's answer to GET x.
func (r *redis) get(t *testing.T) string {
	t.Helper()
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 100)
	if _, err := conn.Write([]byte("GET x\r\n")); err != nil {
		t.Fatal(err)
	}
	n, err := conn.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer[:n])
}

const (
	nothing = "$-1\r\n"
	first   = "$1\r\n1\r\n"
)

func (r *redis) must(t *testing.T, err error, want string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if got := r.get(t); got != want {
		t.Errorf("x is %q, want %q", got, want)
	}
}

func TestRedisSuffers(t *testing.T) {
	r, ctx := startedRedis(t), t.Context()
	r.must(t, r.ask(ctx, "SET x 1"), first)
	r.must(t, r.flush(ctx), nothing)
	if err := r.ask(ctx, "NOTHING"); err == nil {
		t.Error("a command that is refused was taken for done")
	}
	r.must(t, r.ask(ctx, "SET x 1"), first)
	r.must(t, r.silent(ctx, time.Millisecond), first)

	if err := r.save(ctx); err != nil {
		t.Fatal(err)
	}
	r.must(t, r.ask(ctx, "SET x 2"), "$1\r\n2\r\n")
	r.must(t, r.back(ctx), first)
	r.must(t, r.lose(ctx, time.Millisecond), nothing)
}
