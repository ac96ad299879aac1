package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "17": 17, "1KiB": kib, "512KiB": 512 * kib, "3MiB": 3 * mib, " 64 MiB ": 64 * mib, "2GiB": 2 * gib,
		"8589934591GiB": 8589934591 * gib,
	} {
		var got Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: want %d, got %d, %v", text, want, got, err)
		}
		var again Size
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%q: written %s and read %d, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "+1", "1.5MiB", "3MB", "3mib", "3 M", "KiB", "0x10", "9223372036854775808", "8589934592GiB"} {
		if got := Size(7); got.UnmarshalText([]byte(text)) == nil || got != 7 {
			t.Errorf("%q: want an error and the size untouched, got %d", text, got)
		}
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	c := valid()
	c.Log.SASL = &SASL{Mechanism: "PLAIN", Username: "u", Password: NewSecret("hunter2")}
	c.Snapshots = Snapshots{Type: SnapshotsRedis, Address: "r:1", Password: NewSecret("hunter2")}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%t"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, struct{ C *Config }{c}, *c, *c.Log.SASL, c.Log.SASL.Password)
	}
	fmt.Fprint(&out, NewSecret("").Reveal())
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "config", c, "sasl", *c.Log.SASL, "password", c.Log.SASL.Password)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "config", c, "sasl", *c.Log.SASL, "password", c.Log.SASL.Password)
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), fmt.Sprintf("%x", "hunter2")) {
		t.Errorf("a password is shown:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "[redacted]") || fmt.Sprint(NewSecret("")) != "" {
		t.Error("want a given secret told from a missing one")
	}
	if c.Snapshots.Password.Reveal() != "hunter2" {
		t.Error("want Reveal to give it away")
	}
}

func TestSecretIsInNoError(t *testing.T) {
	const sasl = "log: {brokers: ['a:1'], sasl: "
	for name, text := range map[string]string{
		"list":        sasl + "{password: [hunter2]}}",
		"mapping":     sasl + "{password: {hunter2: x}, mechanism: x}}",
		"instead":     sasl + "hunter2}",
		"anchor":      sasl + "{password: *hunter2}}",
		"own anchor":  sasl + "{password: &hunter2 [*hunter2]}}",
		"tag":         sasl + "{password: !!int hunter2}}",
		"odd tag":     sasl + "{password: !hunter2 x}}",
		"directive":   "%hunter2\n" + sasl + "}}",
		"unclosed":    sasl + "{password: \"hunter2}}",
		"document":    "hunter2",
		"broker url":  "log: {brokers: ['sasl://u:hunter2@h:1']}",
		"redis url":   "snapshots: {type: redis, address: 'u:hunter2@h:1'}",
		"redis, size": "limits: {books: 'u:hunter2@h'}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, text), nil, nil)
			if err == nil {
				t.Fatal("want an error")
			}
			if name != "mapping" && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a password is shown: %v", err)
			}
		})
	}
}

func TestAdvertiseAddress(t *testing.T) {
	listener := &net.TCPAddr{IP: net.IPv6unspecified, Port: 4711}
	for name, row := range map[string]struct {
		peers Peers
		want  string
	}{
		"given":         {Peers{Listen: ":0", Advertise: "pod-1:50070"}, "pod-1:50070"},
		"a host":        {Peers{Listen: "10.0.0.7:50070"}, "10.0.0.7:4711"},
		"a port chosen": {Peers{Listen: "127.0.0.1:0"}, "127.0.0.1:4711"},
		"ipv6":          {Peers{Listen: "[::1]:0"}, "[::1]:4711"},
	} {
		if got, err := row.peers.AdvertiseAddress(listener); err != nil || got != row.want {
			t.Errorf("%s: want %s, got %s, %v", name, row.want, got, err)
		}
	}
	open := Peers{Listen: ":50070"}
	got, err := open.AdvertiseAddress(listener)
	if err != nil && !strings.HasPrefix(err.Error(), "peers.advertise: set it") {
		t.Errorf("want the key to set, got %v", err)
	}
	if err == nil && !strings.HasSuffix(got, ":4711") {
		t.Errorf("want the listener's port, got %s", got)
	}
	if _, err := open.AdvertiseAddress(&net.UnixAddr{Name: "x", Net: "unix"}); err == nil {
		t.Error("want an error for a listener without a port")
	}
}

func TestReachable(t *testing.T) {
	for name, row := range map[string]struct {
		own  []string
		want string
	}{
		"loopback only":    {[]string{"127.0.0.1", "::1"}, ""},
		"link-local":       {[]string{"127.0.0.1", "fe80::1", "169.254.1.1"}, ""},
		"the first":        {[]string{"127.0.0.1", "10.0.0.7", "172.17.0.1"}, "10.0.0.7"},
		"ipv4 before ipv6": {[]string{"2001:db8::1", "10.0.0.7"}, "10.0.0.7"},
		"ipv6 alone":       {[]string{"::1", "fd00::1", "fd00::2"}, "fd00::1"},
	} {
		own := []net.Addr{&net.UnixAddr{}}
		for _, ip := range row.own {
			own = append(own, &net.IPNet{IP: net.ParseIP(ip)})
		}
		if got := reachable(own); got != row.want {
			t.Errorf("%s: want %q, got %q", name, row.want, got)
		}
	}
}
