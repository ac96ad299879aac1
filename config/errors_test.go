package config

import (
	"strings"
	"testing"
)

// Every row says the whole error: what else is printed is one line too many.
func TestErrors(t *testing.T) {
	const ok = "log: {type: embedded}\n"
	const logic = ok + "business_logic: [{domain: a, address: 'l:1'}, "
	tests := []struct {
		name  string
		file  string // FILE in want
		env   []string
		flags map[string]any
		want  string
	}{
		{name: "nothing at all",
			want: "log.brokers: required: want a list of host:port, such as [redpanda:9092], or log.type: embedded"},

		// The file.
		{name: "syntax", file: "listen: a\n  b: c", want: "FILE:2: want YAML: mapping values are not allowed in this context"},
		{name: "a key twice", file: "listen: :1\nlisten: :2", want: `FILE:2: want YAML: mapping key "listen" already defined at line 1`},
		{name: "no mapping", file: "hunter2", want: "FILE:1: want keys and values, such as listen: 127.0.0.1:50050"},
		{name: "an unquoted star", file: "log:\n  sasl: {password: *hunter2}",
			want: "FILE:2: want a value: put one that begins with * in quotes"},
		{name: "aliases without end", file: "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n" +
			"g: [*f,*f,*f,*f,*f,*f,*f,*f,*f]", want: "FILE: want YAML: document contains excessive aliasing"},
		{name: "two documents", file: ok + "---\nlisten: :1",
			want: "FILE: want one YAML document: remove what follows the second ---"},

		// Unknown keys.
		{name: "misspelt", file: ok + "lisen: :1", want: "FILE:2: lisen: unknown key: did you mean listen?"},
		{name: "misspelt below", file: "log:\n  type: embedded\n  partition: 3",
			want: "FILE:3: log.partition: unknown key: did you mean log.partitions?"},
		{name: "misspelt and required", file: "log: {broker: [a]}",
			want: "FILE:1: log.broker: unknown key: did you mean log.brokers?"},
		{name: "misspelt in a list", file: logic + "{domain: b, adress: 'l:2'}]",
			want: "FILE:2: business_logic[1].adress: unknown key: did you mean business_logic[1].address?"},
		{name: "at the wrong place", file: "brokers: [a]", want: "FILE:1: brokers: unknown key: did you mean log.brokers?"},
		{name: "dotted", file: "log.brokers: [a]", want: "FILE:1: log.brokers: want nested keys: write log with brokers below it"},
		{name: "like nothing", file: ok + "colour: red",
			want: "FILE:2: colour: unknown key: known here are listen, peers, admin, log, snapshots, limits, " +
				"synchronous_depth, business_logic, projectors, sagas"},
		{name: "unprintable", file: ok + `"a\nb": 1`,
			want: `FILE:2: "a\nb": unknown key: known here are listen, peers, admin, log, snapshots, limits, ` +
				"synchronous_depth, business_logic, projectors, sagas"},
		{name: "no verification", file: "log: {brokers: 'a:1', tls: {insecure_skip_verify: true}}",
			want: "FILE:1: log.tls.insecure_skip_verify: unknown key: known here are ca, cert, key, server_name"},
		{name: "upstream's storage", file: "storage: {type: mongodb}\nbus: {type: amqp}",
			want: "FILE:2: bus: Kafka is both the storage and the bus here: remove this and set log.brokers\n" +
				"FILE:1: storage: Kafka is both the storage and the bus here: remove this and set log.brokers"},
		{name: "upstream's messaging", file: ok + "messaging: {}",
			want: "FILE:2: messaging: Kafka is both the storage and the bus here: remove this and set log.brokers"},
		{name: "a flag", file: ok, flags: map[string]any{"log.partition": 1},
			want: "log.partition: unknown key: did you mean log.partitions?"},

		// Types.
		{name: "number", file: "log: {type: embedded, partitions: many}",
			want: `FILE:1: log.partitions: want a whole number, not "many"`},
		{name: "fraction", file: ok + "synchronous_depth: 1.5", want: `FILE:2: synchronous_depth: want a whole number, not "1.5"`},
		{name: "number too large", file: ok + "synchronous_depth: 9999999999",
			want: `FILE:2: synchronous_depth: want a whole number, not "9999999999"`},
		{name: "boolean", file: ok + "projectors: [{name: p, address: 'a:1', synchronous: maybe}]",
			want: `FILE:2: projectors[0].synchronous: want true or false, not "maybe"`},
		{name: "size", file: ok + "limits: {answer: 4MB}",
			want: `FILE:2: limits.answer: want a size in whole bytes, KiB, MiB or GiB, such as 64MiB, not "4MB"`},
		{name: "size too large", file: ok + "limits: {answer: 9999999999GiB}",
			want: `FILE:2: limits.answer: want less than 8589934591GiB, not "9999999999GiB"`},
		{name: "size of a list", file: ok + "limits: {answer: [1]}",
			want: "FILE:2: limits.answer: want a size in whole bytes, KiB, MiB or GiB, such as 64MiB, not a list"},
		{name: "text", file: ok + "listen: [a]", want: "FILE:2: listen: want text, not a list"},
		{name: "text of digits", file: "log: {brokers: 'a:1', sasl: {mechanism: PLAIN, username: u, password: 12345}}",
			want: "FILE:1: log.sasl.password: want text: put the value in quotes"},
		{name: "list", file: "log: {brokers: {a: 1}}", want: "FILE:1: log.brokers: want a list, such as [a, b], not a mapping"},
		{name: "list of lists", file: "log: {brokers: [[a]]}", want: "FILE:1: log.brokers[0]: want text, not a list"},
		{name: "services", file: ok + "sagas: {name: x}", want: "FILE:2: sagas: want a list: `- name: …`, not a mapping"},
		{name: "service", file: ok + "business_logic: [inventory]",
			want: "FILE:2: business_logic[0]: want a mapping of domain, address, not a text"},
		{name: "mapping", file: "log: kafka",
			want: "FILE:1: log: want a mapping of type, brokers, partitions, replication_factor, tls, sasl, data, missing_offsets, not a text"},
		{name: "wrong in the file, right in the environment", file: "log: kafka", env: []string{"ANGZARR_LOG_TYPE=embedded"},
			want: "FILE:1: log: want a mapping of type, brokers, partitions, replication_factor, tls, sasl, data, missing_offsets, not a text"},
		{name: "tls", file: "log: {brokers: 'a:1', tls: ca.pem}",
			want: "FILE:1: log.tls: want true, or a mapping of ca, cert, key, server_name"},
		{name: "peers", file: ok + "peers: true",
			want: "FILE:2: peers: want a mapping of listen, advertise, tls, insecure, not true or false"},

		// The environment.
		{name: "misspelt variable", file: ok, env: []string{"ANGZARR_LISTN=:1"},
			want: "ANGZARR_LISTN: unknown variable: did you mean ANGZARR_LISTEN (listen)?"},
		{name: "two underscores", env: []string{"ANGZARR__LOG__BROKERS=a:1"},
			want: "ANGZARR__LOG__BROKERS: unknown variable: did you mean ANGZARR_LOG_BROKERS (log.brokers)?"},
		{name: "variable like nothing", file: ok, env: []string{"ANGZARR_COLOUR=red"},
			want: "ANGZARR_COLOUR: unknown variable: want ANGZARR_ and the key, as in ANGZARR_LOG_BROKERS (log.brokers)"},
		{name: "a port that Kubernetes didn't set", file: ok, env: []string{"ANGZARR_PORT=50050"},
			want: "ANGZARR_PORT: unknown variable: want ANGZARR_ and the key, as in ANGZARR_LOG_BROKERS (log.brokers)"},
		{name: "upstream's variable", env: []string{"ANGZARR__STORAGE__TYPE=x"},
			want: "ANGZARR__STORAGE__TYPE: Kafka is both the storage and the bus here: remove this and set log.brokers (ANGZARR_LOG_BROKERS)"},
		{name: "services by variable", file: ok, env: []string{"ANGZARR_BUSINESS_LOGIC_0_DOMAIN=x"},
			want: "ANGZARR_BUSINESS_LOGIC_0_DOMAIN: set services in the file; ANGZARR_SERVICE_ENDPOINT gives the address of the only one"},
		{name: "type of a variable", file: ok, env: []string{"ANGZARR_LOG_PARTITIONS=x"},
			want: `ANGZARR_LOG_PARTITIONS: log.partitions: want a whole number, not "x"`},
		{name: "tls twice", env: []string{"ANGZARR_LOG_BROKERS=a:1", "ANGZARR_LOG_TLS=true", "ANGZARR_LOG_TLS_CA=x"},
			want: "ANGZARR_LOG_TLS: log.tls: leave it out where a variable ANGZARR_LOG_TLS_… is set"},
		{name: "endpoint of nothing", file: ok, env: []string{"ANGZARR_SERVICE_ENDPOINT=e:1"},
			want: "ANGZARR_SERVICE_ENDPOINT: want one service to give the address to: add it to business_logic, projectors or sagas"},
		{name: "endpoint of two", file: logic + "{domain: b, address: 'l:2'}]", env: []string{"ANGZARR_SERVICE_ENDPOINT=e:1"},
			want: "ANGZARR_SERVICE_ENDPOINT: want exactly one service without an address, not 0 of 2: set the others' address in the file"},
		{name: "endpoint that is none", file: ok + "sagas: [{name: s}]", env: []string{"ANGZARR_SERVICE_ENDPOINT=e"},
			want: `sagas[0].address: want host:port, such as localhost:50051 (an IPv6 host in brackets), not "e"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := ""
			if tt.file != "" {
				path = write(t, tt.file)
			}
			_, err := Load(path, tt.env, tt.flags)
			if err == nil {
				t.Fatal("want an error")
			}
			if got := strings.ReplaceAll(err.Error(), path+":", "FILE:"); path != "" && got != tt.want || path == "" && err.Error() != tt.want {
				t.Errorf("want\n%s\ngot\n%s", tt.want, got)
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	for _, path := range []string{"testdata/missing.yaml", "testdata"} {
		_, err := Load(path, nil, nil)
		if err == nil || !strings.HasPrefix(err.Error(), path+": want a readable file: set --config or ANGZARR_CONFIG: ") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}
