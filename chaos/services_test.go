package chaos

import (
	"net"
	"os/exec"
	"strings"
	"testing"
)

func TestRedisIsStartedAndFlushed(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("needs redis-server")
	}
	r, err := startRedis(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.stop()
	if err := r.ask(t.Context(), "SET x 1"); err != nil {
		t.Fatal(err)
	}
	if err := r.ask(t.Context(), "FLUSHALL"); err != nil {
		t.Fatal(err)
	}
	if err := r.ask(t.Context(), "NOTHING"); err == nil {
		t.Error("a command that is refused was taken for done")
	}
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 100)
	if _, err := conn.Write([]byte("GET x\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(answer); err != nil || string(answer[:n]) != "$-1\r\n" {
		t.Errorf("after it was flushed: %q, %v", answer[:n], err)
	}
}

func TestWhatACommandSaidIsInItsError(t *testing.T) {
	err := run(exec.Command("sh", "-c", "echo reason; exit 4"))
	if err == nil || !strings.Contains(err.Error(), "reason") || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("it says %v", err)
	}
}

func TestGoneWaitsForTheListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan error)
	go func() { over <- gone(t.Context(), l.Addr().String()) }()
	conn, err := l.Accept() // it looks, and somebody is there
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	select {
	case err := <-over:
		t.Errorf("over while somebody listens: %v", err)
	default:
	}
	l.Close()
	if err := <-over; err != nil {
		t.Error(err)
	}
}
