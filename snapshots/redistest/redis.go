// Package redistest gives tests a Redis, and breaks it for them.
//
//	ANGZARR_TEST_REDIS unset       one inside the process for each test
//	ANGZARR_TEST_REDIS=host:port   the Redis there, shared by all tests
//
// Invariants:
//   - Tests that share a Redis never meet: they use domains of their own.
//   - What breaks a Redis for all (a flush, a restart, its memory limit) is done
//     to a redis-server that the test has started for itself, and that ends with it.
package redistest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Variable names the environment variable with the real Redis.
const Variable = "ANGZARR_TEST_REDIS"

// bound is how long a server may take to answer.
const bound = 10 * time.Second

// Start gives the address of a test's Redis.
func Start(t testing.TB) string {
	t.Helper()
	if address := os.Getenv(Variable); address != "" {
		return address
	}
	return miniredis.RunT(t).Addr()
}

// Server is a redis-server process of one test.
type Server struct {
	Address string

	t    testing.TB
	dir  string
	args []string
	cmd  *exec.Cmd
}

// Own starts a redis-server with these arguments, which stores nothing by itself.
// Where the program isn't installed the test is skipped.
func Own(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("NOT TESTED: needs the program redis-server (Debian: apt-get install redis-server)")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	s := &Server{Address: address, t: t, dir: t.TempDir(), args: args}
	t.Cleanup(s.Kill)
	s.Run()
	return s
}

// Run starts the server again, with what its dump holds, if there is one.
func (s *Server) Run() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.Address)
	args := append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no",
		"--logfile", filepath.Join(s.dir, "redis.log")}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	client := s.Client()
	ctx, cancel := context.WithTimeout(s.t.Context(), bound)
	defer cancel()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for client.Ping(ctx).Err() != nil {
		select {
		case <-again.C:
		case <-ctx.Done():
			said, _ := os.ReadFile(filepath.Join(s.dir, "redis.log"))
			s.t.Fatalf("redis-server did not answer within %v: %s", bound, said)
		}
	}
}

// Kill ends the server as a crash does.
func (s *Server) Kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

// Client connects until the test ends.
func (s *Server) Client() *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: s.Address, MaxRetries: -1})
	s.t.Cleanup(func() { client.Close() })
	return client
}

// Dump stores what the server holds.
func (s *Server) Dump() {
	s.t.Helper()
	if err := s.Client().Save(s.t.Context()).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// Flush empties the server.
func (s *Server) Flush() {
	s.t.Helper()
	if err := s.Client().FlushAll(s.t.Context()).Err(); err != nil {
		s.t.Error(err)
	}
}

// Set changes a setting of the server.
func (s *Server) Set(key, value string) {
	s.t.Helper()
	if err := s.Client().ConfigSet(s.t.Context(), key, value).Err(); err != nil {
		s.t.Error(err)
	}
}
