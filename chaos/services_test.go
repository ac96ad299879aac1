package chaos

import (
	"net"
	"os/exec"
	"strings"
	"testing"
)

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
