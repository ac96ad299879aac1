package config

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// write puts a file into a directory of the test's own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "angzarr.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestGolden(t *testing.T) {
	for _, name := range []string{"design", "full"} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(filepath.Join("testdata", name+".yaml"), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(c, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden.json")
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(string(want)) != string(got) {
				t.Errorf("want\n%s\ngot\n%s", want, got)
			}
			if err := c.Validate(); err != nil {
				t.Errorf("a loaded configuration must validate: %v", err)
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	const embedded = "log: {type: embedded}\n"
	one := embedded + "business_logic: [{domain: inventory, address: 'file:1'}]\n"
	two := embedded + "business_logic: [{domain: a, address: 'file:1'}]\nprojectors: [{name: p}]\n"
	tests := []struct {
		name  string
		file  string
		env   []string
		flags map[string]any
		get   func(*Config) any
		want  any
	}{
		{name: "default", file: embedded, get: func(c *Config) any { return c.Log.Partitions }, want: 24},
		{name: "file over default", file: embedded + "admin: :1", get: func(c *Config) any { return c.Admin }, want: ":1"},
		{name: "environment over file", file: embedded + "admin: :1", env: []string{"ANGZARR_ADMIN=:2"},
			get: func(c *Config) any { return c.Admin }, want: ":2"},
		{name: "flags over environment", file: embedded + "admin: :1", env: []string{"ANGZARR_ADMIN=:2"},
			flags: map[string]any{"admin": ":3"}, get: func(c *Config) any { return c.Admin }, want: ":3"},
		{name: "a flag that was not given", file: embedded + "admin: :1", flags: map[string]any{"admin": nil},
			get: func(c *Config) any { return c.Admin }, want: ":1"},
		{name: "the last of two equal variables", file: embedded, env: []string{"ANGZARR_ADMIN=:2", "ANGZARR_ADMIN=:4"},
			get: func(c *Config) any { return c.Admin }, want: ":4"},
		{name: "an empty variable", file: embedded + "admin: :1", env: []string{"ANGZARR_ADMIN="},
			get: func(c *Config) any { return c.Admin }, want: ":1"},
		{name: "a key with an underscore", file: embedded, env: []string{"ANGZARR_LOG_REPLICATION_FACTOR=3"},
			get: func(c *Config) any { return c.Log.ReplicationFactor }, want: 3},
		{name: "a size", file: embedded, env: []string{"ANGZARR_LIMITS_OPEN_BOOK=1MiB"},
			get: func(c *Config) any { return c.Limits.OpenBook }, want: 1 * mib},
		{name: "a list", env: []string{"ANGZARR_LOG_BROKERS=a:1, b:2"},
			get: func(c *Config) any { return strings.Join(c.Log.Brokers, "+") }, want: "a:1+b:2"},
		{name: "a list of the flags", flags: map[string]any{"log.brokers": []string{"a:1", "b:2"}},
			get: func(c *Config) any { return strings.Join(c.Log.Brokers, "+") }, want: "a:1+b:2"},
		{name: "services of the flags", file: one,
			flags: map[string]any{"business_logic": []map[string]any{{"domain": "x", "address": "flag:1"}}},
			get:   func(c *Config) any { return c.BusinessLogic[0] }, want: BusinessLogic{"x", "flag:1"}},
		{name: "services of the flags, untyped", file: embedded,
			flags: map[string]any{"business_logic": []any{map[string]any{"domain": "x", "address": "flag:1"}}},
			get:   func(c *Config) any { return c.BusinessLogic[0] }, want: BusinessLogic{"x", "flag:1"}},
		{name: "peers by variables alone", file: embedded,
			env: []string{"ANGZARR_PEERS_LISTEN=:50070", "ANGZARR_PEERS_INSECURE=true"},
			get: func(c *Config) any { return *c.Peers }, want: Peers{Listen: ":50070", Insecure: true}},
		{name: "no peers", file: embedded + "peers:", get: func(c *Config) any { return c.Peers == nil }, want: true},
		{name: "tls of the system", file: "log: {brokers: 'a:1', tls: true}",
			get: func(c *Config) any { return *c.Log.TLS }, want: TLS{}},
		{name: "tls, empty", file: "log: {brokers: 'a:1', tls: {}}",
			get: func(c *Config) any { return *c.Log.TLS }, want: TLS{}},
		{name: "tls switched off again", file: "log: {brokers: 'a:1', tls: {ca: x}}", env: []string{"ANGZARR_LOG_TLS=false"},
			get: func(c *Config) any { return c.Log.TLS == nil }, want: true},
		{name: "tls in detail over tls", file: "log: {brokers: 'a:1', tls: true}", env: []string{"ANGZARR_LOG_TLS_CA=x"},
			get: func(c *Config) any { return *c.Log.TLS }, want: TLS{CA: "x"}},
		{name: "a mapping over nothing", file: "log:", env: []string{"ANGZARR_LOG_TYPE=embedded"},
			get: func(c *Config) any { return c.Log.Type }, want: "embedded"},
		{name: "a merge of a mapping", file: "log: {brokers: 'a:1', tls: &t {ca: x}}\npeers: {listen: ':1', tls: {<<: *t, cert: c, key: k}}",
			get: func(c *Config) any { return *c.Peers.TLS }, want: TLS{CA: "x", Cert: "c", Key: "k"}},
		{name: "endpoint of the only service", file: one, env: []string{"ANGZARR_SERVICE_ENDPOINT=env:1"},
			get: func(c *Config) any { return c.BusinessLogic[0].Address }, want: "env:1"},
		{name: "endpoint of the only one without", file: two, env: []string{"ANGZARR_SERVICE_ENDPOINT=env:1"},
			get: func(c *Config) any { return c.BusinessLogic[0].Address + c.Projectors[0].Address }, want: "file:1env:1"},
		{name: "endpoint and an address by flag", file: embedded, env: []string{"ANGZARR_SERVICE_ENDPOINT=env:1"},
			flags: map[string]any{"business_logic": []any{map[string]any{"domain": "x", "address": "flag:1"}}},
			get:   func(c *Config) any { return c.BusinessLogic[0].Address }, want: "flag:1"},
		{name: "other people's variables", file: embedded, env: []string{"ANGZARR_SERVER=x", "ANGZARR_TEST_X=1",
			"ANGZARR_KAFKA_VERSION=1", "ANGZARR_REDIS_PORT=1", "ANGZARR_SERVICE_HOST=10.0.0.1", "ANGZARR_SERVICE_PORT=1", "ANGZARR_SERVICE_PORT_GRPC=1",
			"ANGZARR_PORT=tcp://10.0.0.1:50050", "ANGZARR_PORT_50050_TCP=tcp://10.0.0.1:50050",
			"ANGZARR_REDIS_PORT_6379_TCP_ADDR=10.0.0.2", "ANGZARR_REDIS_SERVICE_HOST=10.0.0.2", "HOME=/"},
			get: func(c *Config) any { return c.Listen }, want: "127.0.0.1:50050"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := ""
			if tt.file != "" {
				path = write(t, tt.file)
			}
			c, err := Load(path, tt.env, tt.flags)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.get(c); got != tt.want {
				t.Errorf("want %v, got %v", tt.want, got)
			}
		})
	}
}

func TestFileOfTheEnvironment(t *testing.T) {
	inEnv := write(t, "log: {type: embedded}\nadmin: :1")
	c, err := Load("", []string{"ANGZARR_CONFIG=" + inEnv}, nil)
	if err != nil || c.Admin != ":1" {
		t.Errorf("want the file that ANGZARR_CONFIG names, got %v, %v", c, err)
	}
	explicit := write(t, "log: {type: embedded}\nadmin: :2")
	c, err = Load(explicit, []string{"ANGZARR_CONFIG=" + inEnv}, nil)
	if err != nil || c.Admin != ":2" {
		t.Errorf("want the file that was given, got %v, %v", c, err)
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"design", "full"} {
		text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Load(write(t, text), nil, nil)
		if err == nil {
			if err := c.Validate(); err != nil {
				t.Errorf("loaded, and not valid: %v", err)
			}
			return
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.Contains(line, ": ") {
				t.Errorf("want the place and what would be right, got %q", line)
			}
		}
	})
}
