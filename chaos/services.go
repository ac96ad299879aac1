package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// build builds the program.
func build(ctx context.Context, root, binary string, flags ...string) error {
	args := append([]string{"build", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/angzarr")...)
	cmd.Dir = root
	return run(cmd)
}

// services starts Kafka and Redis, as far as they are the run's own. end ends
// what was started, whatever the error.
func (r *runner) services(ctx context.Context) (end func() error, err error) {
	var started []func() error
	end = func() error {
		var failed error
		for _, stop := range started {
			failed = errors.Join(failed, stop())
		}
		return failed
	}
	r.cluster.Brokers = r.o.Brokers
	if len(r.o.Brokers) == 0 {
		r.kafka = kafka{r.o.Root, r.o.KafkaPort}
		r.cluster.Brokers = []string{r.kafka.address()}
		started = append(started, r.kafka.down)
		if err := r.kafka.up(ctx, false); err != nil {
			return end, err
		}
	}
	if r.o.Snapshots == "redis" {
		if r.redis, err = newRedis(ctx, r.dir); err != nil {
			return end, err
		}
		started = append(started, func() error { r.redis.kill(); return nil })
	}
	return end, nil
}

// kafka is a broker of the run's own, under deploy/kafka.
type kafka struct {
	root string // of the project
	port int
}

func (k kafka) address() string { return fmt.Sprintf("127.0.0.1:%d", k.port) }

// up starts the broker and returns when it answers; kept says to keep what it
// has stored.
func (k kafka) up(ctx context.Context, kept bool) error {
	env := []string{"KEEP="}
	if kept {
		env = []string{"KEEP=1"}
	}
	return k.script(ctx, "up", env...)
}

func (k kafka) down() error { return k.script(context.Background(), "down") }

// restart kills the broker and starts it again with what it had stored: files
// that the system has are not lost with the process.
func (k kafka) restart(ctx context.Context) error {
	content, err := os.ReadFile(filepath.Join(k.root, ".kafka", strconv.Itoa(k.port), "kafka.pid"))
	if err != nil {
		return fmt.Errorf("kill Kafka: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		return fmt.Errorf("kill Kafka: %w", err)
	}
	// What is killed listens until its memory is given back.
	for _, port := range []int{k.port, k.port + 1} {
		if err := gone(ctx, fmt.Sprintf("127.0.0.1:%d", port)); err != nil {
			return fmt.Errorf("kill Kafka: %w", err)
		}
	}
	if k.up(ctx, true) == nil {
		return nil
	}
	return k.up(ctx, true) // a busy machine may take longer than one try gives it
}

// gone waits until nobody listens at the address.
func gone(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil && ctx.Err() == nil {
			return nil
		}
		if err == nil {
			conn.Close()
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("somebody still listens at %s: %w", address, err)
		}
	}
}

func (k kafka) script(ctx context.Context, name string, env ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(k.root, "deploy", "kafka", name))
	cmd.Env = append(append(os.Environ(), fmt.Sprintf("ANGZARR_KAFKA_PORT=%d", k.port)), env...)
	return run(cmd)
}

// run says what a command that failed has said.
func run(cmd *exec.Cmd) error {
	// A file, since a broker that inherited a pipe would hold it open.
	said, err := os.CreateTemp("", "angzarr-chaos-")
	if err != nil {
		return err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		content, _ := os.ReadFile(said.Name())
		return fmt.Errorf("%s: %w\n%s", cmd, err, content)
	}
	return nil
}

// sleep ends early, with an error, if ctx does.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
