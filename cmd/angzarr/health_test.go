package main

import (
	"bytes"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/snapshots/redistest"
)

// As a container's check: the same binary, the same environment.
func TestHealthOfAProcess(t *testing.T) {
	t.Parallel()
	b := logtest.Start(t)
	dir := shelfConfig(t, b, b.Domain("health"), "127.0.0.1:1", redistest.Start(t))
	r := start(t, dir, "serve", "--config", "angzarr.yaml")
	admin := r.wait(t, `msg=ready listen=\S+ admin=(\S+)`)[1]

	for _, tc := range []struct {
		name        string
		args        []string
		environment string
	}{
		{"by flag", []string{"--admin", admin}, ""},
		{"by the environment", nil, "ANGZARR_ADMIN=" + admin},
		{"by the configuration", []string{"--config", "angzarr.yaml"}, "ANGZARR_ADMIN=" + admin},
	} {
		t.Run(tc.name, func(t *testing.T) {
			check := exec.Command("angzarr", append([]string{"health"}, tc.args...)...)
			check.Dir = dir
			check.Env = append(check.Environ(), tc.environment, "HTTP_PROXY=http://127.0.0.1:1")
			if said, err := check.CombinedOutput(); err != nil || string(said) != "ok\n" {
				t.Errorf("%v: %q", err, said)
			}
		})
	}
	r.stop(t, syscall.SIGTERM)
	said, err := exec.Command("angzarr", "health", "--admin", admin).CombinedOutput()
	if err == nil || !strings.HasPrefix(string(said), "angzarr: nobody listens at "+admin) {
		t.Errorf("after its end: %v: %q", err, said)
	}
}

func TestHealthIsOneLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		status int
		body   string
		exit   int
		want   string
	}{
		{"ready", 200, "ok\n", 0, "ok\n"},
		{"ready without something", 200, "ok\nsnapshots.address: Redis is away\n", 0, "ok; snapshots.address: Redis is away\n"},
		{"not ready", 503, "loading\n", 1, "angzarr: ADDRESS is not ready: 503 Service Unavailable: loading\n"},
		{"something else", 404, "404 page not found\n", 1, "angzarr: ADDRESS is not ready: 404 Not Found: 404 page not found\n"},
		{"silent", 0, "", 1, "angzarr: no answer from ADDRESS within 2s: it is still starting, or hangs\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/readyz" {
					t.Errorf("it asked for %s", r.URL.Path)
				}
				w.WriteHeader(tc.status)
				w.Write([]byte(tc.body))
			})}
			defer l.Close()
			if tc.status != 0 { // else a port that is bound, and nobody accepts
				go server.Serve(l)
				defer server.Close()
			}
			var out bytes.Buffer
			exit := run(t.Context(), []string{"health", "--admin", l.Addr().String()}, nil, &out, &out)
			if said := strings.ReplaceAll(out.String(), l.Addr().String(), "ADDRESS"); exit != tc.exit || said != tc.want {
				t.Errorf("exit %d: %q, want %d: %q", exit, said, tc.exit, tc.want)
			}
		})
	}
}

func TestHealthOfNoAddress(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if exit := run(t.Context(), []string{"health", "--admin", "50060"}, nil, &out, &out); exit != exitUsage {
		t.Errorf("exit %d: %s", exit, &out)
	}
}
