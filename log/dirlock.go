package log

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

const lockFile = "angzarr.lock"

// dirLock keeps a second process out of a data directory. The operating
// system lets go of it when the process ends, however it ends; the process id
// in the file is only there to be told to people.
type dirLock struct{ file *flock.Flock }

func lockDir(dir string) (*dirLock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("embedded Kafka: data directory: %w", err)
	}
	path := filepath.Join(dir, lockFile)
	lock := &dirLock{flock.New(path)}
	locked, err := lock.file.TryLock()
	if err != nil {
		return nil, fmt.Errorf("embedded Kafka: lock data directory %s: %w", dir, err)
	}
	if !locked {
		return nil, fmt.Errorf("embedded Kafka: data directory %s is in use by %s: end it, or choose another directory", dir, holder(path))
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		lock.release()
		return nil, fmt.Errorf("embedded Kafka: lock data directory %s: %w", dir, err)
	}
	return lock, nil
}

// holder may be asked just before the holder has written its id.
func holder(path string) string {
	content, err := os.ReadFile(path)
	pid := strings.TrimSpace(string(content))
	if err != nil || pid == "" {
		return "another process"
	}
	return "process " + pid
}

// release leaves the file in place: to remove it could remove the lock of a
// process that has just taken it.
func (l *dirLock) release() {
	if l == nil {
		return
	}
	// What can't be unlocked is unlocked when the process ends.
	_ = l.file.Unlock()
}
