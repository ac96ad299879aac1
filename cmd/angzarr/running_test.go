package main

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// running is this program as a process of its own.
type running struct {
	cmd *exec.Cmd

	mu   sync.Mutex
	said strings.Builder
	more chan struct{} // closed, and made anew, when it has said more

	ended chan error
}

// start starts the program; it is killed at the test's end if it still runs.
func start(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	cmd := exec.Command("angzarr", args...)
	cmd.Dir = dir
	return startCommand(t, cmd)
}

// startCommand is start, of another program.
func startCommand(t *testing.T, cmd *exec.Cmd) *running {
	t.Helper()
	r := &running{cmd: cmd, more: make(chan struct{}), ended: make(chan error, 1)}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.cmd.Stdout, r.cmd.Stderr = w, w
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.hear(lines.Text())
		}
	}()
	go func() {
		err := r.cmd.Wait()
		<-read
		out.Close()
		r.ended <- err
	}()
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("%s:\n%s", strings.Join(cmd.Args, " "), r.all())
		}
	})
	return r
}

func (r *running) hear(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said.WriteString(line + "\n")
	close(r.more)
	r.more = make(chan struct{})
}

func (r *running) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

// wait waits until the program has said what matches, and returns the match's
// groups.
func (r *running) wait(t *testing.T, pattern string) []string {
	t.Helper()
	expression := regexp.MustCompile("(?m)" + pattern)
	patience := time.After(30 * time.Second)
	for {
		r.mu.Lock()
		found, more := expression.FindStringSubmatch(r.said.String()), r.more
		r.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-more:
		case err := <-r.ended:
			t.Fatalf("it ended (%v) before it said %q:\n%s", err, pattern, r.all())
		case <-patience:
			t.Fatalf("it never said %q:\n%s", pattern, r.all())
		}
	}
}

// stop sends a signal and wants exit status 0.
func (r *running) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := r.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	r.end(t)
}

func (r *running) end(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.ended:
		if err != nil {
			t.Fatalf("it ended with %v:\n%s", err, r.all())
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("it did not end:\n%s", r.all())
	}
}
