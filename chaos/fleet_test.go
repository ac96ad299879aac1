package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// program is a fleet of one, whose program is a script.
func program(t *testing.T, script string) *fleet {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "program")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := newFleet(binary, dir, nil, 1, func(int, string, string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.endAll(syscall.SIGKILL) })
	return f
}

func TestAProcessThatEndsByItselfIsFound(t *testing.T) {
	f := program(t, "echo level=INFO msg=ready; exit 3")
	p := f.slots[0]
	if err := f.start(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if len(f.crashed) != 1 || !strings.Contains(f.crashed[0], "exit status 3") {
		t.Errorf("found %q", f.crashed)
	}
}

func TestAProcessThatIsToldToEndIsNot(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		f := program(t, "echo msg=ready; exec sleep 600")
		p := f.slots[0]
		if err := f.start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		f.end(p, signal)
		if p.cmd != nil || len(f.crashed) != 0 {
			t.Errorf("%v: found %q", signal, f.crashed)
		}
	}
}

// A broker may be away while a process starts.
func TestAProcessThatDoesNotComeUpIsStartedAgain(t *testing.T) {
	f := program(t, "if [ -e was ]; then echo msg=ready; exec sleep 600; fi; touch was; exit 1")
	if err := f.start(t.Context(), f.slots[0]); err != nil {
		t.Fatal(err)
	}
	if f.starts != 2 || len(f.crashed) != 0 {
		t.Errorf("%d starts, found %q", f.starts, f.crashed)
	}
}

func TestReadyIsHeardInPieces(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	o := &output{file: file, ready: make(chan struct{})}
	for _, piece := range []string{strings.Repeat("x", 2000), "level=INFO msg=re", "ady and on\n", "msg=ready again\n"} {
		if _, err := o.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-o.ready:
	default:
		t.Error("not heard")
	}
}
