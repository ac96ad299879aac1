package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// child is a process under measurement.
type child struct {
	command *exec.Cmd
	said    *tail
	ended   chan struct{} // closed once waited for
	err     error         // how it ended; read after ended is closed
}

// start runs binary; died is told when the child has ended, with what it said
// last.
func start(show bool, died func(error), binary string, arguments ...string) (*child, error) {
	c := &child{command: exec.Command(binary, arguments...), said: &tail{show: show}, ended: make(chan struct{})}
	c.command.Stdout, c.command.Stderr = c.said, c.said
	if err := c.command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() {
		c.err = c.command.Wait()
		close(c.ended)
		died(fmt.Errorf("%s ended (%v), saying:\n%s", arguments[0], c.err, c.said))
	}()
	return c, nil
}

// stop asks the child to end, and ends it if it doesn't.
func (c *child) stop() error {
	c.command.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended already
	select {
	case <-c.ended:
	case <-time.After(20 * time.Second):
		c.command.Process.Kill() //nolint:errcheck // as above
		<-c.ended
		return fmt.Errorf("did not end within 20 s of SIGTERM, last said:\n%s", c.said)
	}
	if c.err != nil {
		return fmt.Errorf("ended badly (%w), last said:\n%s", c.err, c.said)
	}
	return nil
}

// tail keeps the last that a child wrote.
type tail struct {
	show bool
	last []byte // owned by the copying goroutine until the child has ended
}

const tailLength = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	if t.show {
		os.Stderr.Write(p) //nolint:errcheck // best effort
	}
	t.last = append(t.last, p...)
	if over := len(t.last) - tailLength; over > 0 {
		t.last = t.last[over:]
	}
	return len(p), nil
}

func (t *tail) String() string { return string(bytes.TrimSpace(t.last)) }
