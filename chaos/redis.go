package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// redis is a server of the run's own; without one it is nil. It stores only what
// a fault has it store.
type redis struct {
	address string
	dir     string

	busy sync.Mutex // held by the fault that it suffers
	cmd  *exec.Cmd  // owned by who holds busy
}

// newRedis starts a server that is empty.
func newRedis(ctx context.Context, dir string) (*redis, error) {
	addresses, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	r := &redis{address: addresses[0], dir: dir}
	return r, r.start(ctx)
}

func (r *redis) dump() string { return filepath.Join(r.dir, "dump.rdb") }

// start starts the server with what its dump holds, if there is one.
func (r *redis) start(ctx context.Context) error {
	_, port, _ := net.SplitHostPort(r.address)
	r.cmd = exec.Command("redis-server",
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", r.dir,
		"--maxmemory-policy", "noeviction", "--logfile", filepath.Join(r.dir, "redis.log"))
	if err := r.cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := r.ask(within, "PING")
		if err == nil {
			return nil
		}
		if sleep(within, 50*time.Millisecond) != nil {
			r.kill()
			return fmt.Errorf("redis-server does not answer at %s: %w", r.address, err)
		}
	}
}

func (r *redis) kill() {
	r.cmd.Process.Kill()
	r.cmd.Wait() //nolint:errcheck // it was killed
}

// ask sends one command, inline: https://redis.io/docs/latest/develop/reference/protocol-spec/#inline-commands.
func (r *redis) ask(ctx context.Context, command string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", r.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	answer := make([]byte, 1)
	if _, err = fmt.Fprintf(conn, "%s\r\n", command); err == nil {
		_, err = conn.Read(answer)
	}
	if err == nil && answer[0] != '+' {
		err = errors.New("refused")
	}
	if err != nil {
		return fmt.Errorf("redis %s: %w", command, err)
	}
	return nil
}

func (r *redis) flush(ctx context.Context) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	return r.ask(ctx, "FLUSHALL")
}

// lose kills the server and starts an empty one later.
func (r *redis) lose(ctx context.Context, away time.Duration) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	r.kill()
	if err := os.Remove(r.dump()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// Whatever ends the run, it is there again.
	return errors.Join(sleep(ctx, away), r.start(context.WithoutCancel(ctx)))
}

// rewind has the server be again what it was so long ago, with a crash between.
func (r *redis) rewind(ctx context.Context, by time.Duration) error {
	if err := r.save(ctx); err != nil {
		return err
	}
	if err := sleep(ctx, by); err != nil {
		return err
	}
	return r.back(ctx)
}

// back kills the server and starts it with what it has stored.
func (r *redis) back(ctx context.Context) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	r.kill()
	return r.start(context.WithoutCancel(ctx))
}

func (r *redis) save(ctx context.Context) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	return r.ask(ctx, "SAVE")
}

// silent stops the server and has it go on later.
func (r *redis) silent(ctx context.Context, d time.Duration) error {
	r.busy.Lock()
	defer r.busy.Unlock()
	if err := r.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return errors.Join(sleep(ctx, d), r.cmd.Process.Signal(syscall.SIGCONT))
}
