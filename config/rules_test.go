package config

import (
	"slices"
	"strings"
	"testing"
)

// valid is a configuration that keeps every rule; rows break one.
func valid() *Config {
	c := defaults()
	c.Log.Brokers = []string{"redpanda:9092"}
	c.BusinessLogic = []BusinessLogic{{"inventory", "localhost:50051"}}
	c.Projectors = []Projector{{Name: "summary", Domains: []string{"inventory"}, Address: "localhost:50052"}}
	c.Sagas = []Saga{{Name: "summary", Address: "localhost:50053"}}
	return c
}

func TestRules(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Config)
		want  []string // a beginning of each line
	}{
		{"valid", func(*Config) {}, nil},
		{"redis", func(c *Config) {
			c.Snapshots = Snapshots{Type: "redis", Address: "redis:6379", Password: NewSecret("x")}
		}, nil},
		{"port 0 for tests", func(c *Config) { c.Listen, c.Admin = "127.0.0.1:0", "127.0.0.1:0" }, nil},
		{"ipv6", func(c *Config) { c.Listen, c.BusinessLogic[0].Address = "[::1]:1", "[fe80::1%eth0]:1" }, nil},
		{"mutual tls", func(c *Config) {
			c.Peers = &Peers{Listen: ":1", TLS: &TLS{CA: "a", Cert: "b", Key: "c"}}
		}, nil},

		{"no listen", func(c *Config) { c.Listen = "" }, []string{"listen: required: want host:port"}},
		{"no admin", func(c *Config) { c.Admin = "" }, []string{"admin: required: want host:port"}},
		{"one port for two", func(c *Config) { c.Admin = c.Listen }, []string{"admin: want another port than listen has"}},
		{"peers on the front door", func(c *Config) { c.Peers = &Peers{Listen: c.Listen, Insecure: true} },
			[]string{"peers.listen: want another port than listen has"}},
		{"no port", func(c *Config) { c.Listen = "localhost" }, []string{`listen: want host:port, such as 127.0.0.1:50050 (an IPv6 host in brackets), not "localhost"`}},
		{"named port", func(c *Config) { c.Listen = "localhost:http" }, []string{"listen: want a port between 1 and 65535"}},
		{"large port", func(c *Config) { c.Listen = "localhost:65536" }, []string{"listen: want a port between 1 and 65535"}},
		{"bare ipv6", func(c *Config) { c.Listen = "::1:50050" }, []string{"listen: want host:port"}},
		{"scheme", func(c *Config) { c.BusinessLogic[0].Address = "http://x:1" },
			[]string{`business_logic[0].address: want host:port without a scheme, such as localhost:50051, not "http://x:1"`}},
		{"path", func(c *Config) { c.Log.Brokers[0] = "a/b:1" }, []string{"log.brokers[0]: want a host name or an IP address"}},
		{"port 0 to dial", func(c *Config) { c.Log.Brokers[0] = "a:0" }, []string{"log.brokers[0]: want a port between 1 and 65535"}},
		{"no host to dial", func(c *Config) { c.Log.Brokers[0] = ":1" }, []string{"log.brokers[0]: want a host that others can dial"}},
		{"every host to dial", func(c *Config) { c.Log.Brokers[0] = "0.0.0.0:1" }, []string{"log.brokers[0]: want a host that others can dial"}},

		{"peers without listen", func(c *Config) { c.Peers = &Peers{Insecure: true} }, []string{"peers.listen: required with peers"}},
		{"peers in the open", func(c *Config) { c.Peers = &Peers{Listen: ":1"} }, []string{"peers.tls: required with peers: set ca, cert and key, or peers.insecure"}},
		{"peers both ways", func(c *Config) { c.Peers = &Peers{Listen: ":1", Insecure: true, TLS: &TLS{}} }, []string{"peers.insecure: remove it"}},
		{"peers unproved", func(c *Config) { c.Peers = &Peers{Listen: ":1", TLS: &TLS{}} },
			[]string{"peers.tls.ca: required", "peers.tls.cert: required", "peers.tls.key: required"}},
		{"advertise to nobody", func(c *Config) { c.Peers = &Peers{Listen: ":1", Insecure: true, Advertise: ":1"} },
			[]string{"peers.advertise: want a host that others can dial"}},

		{"log type", func(c *Config) { c.Log.Type = "pulsar" }, []string{`log.type: want one of kafka, embedded, not "pulsar"`}},
		{"no log type", func(c *Config) { c.Log.Type = "" }, []string{"log.type: required: want one of kafka, embedded"}},
		{"no brokers", func(c *Config) { c.Log.Brokers = nil }, []string{"log.brokers: required"}},
		{"an empty broker", func(c *Config) { c.Log.Brokers = []string{"a:1", ""} }, []string{"log.brokers[1]: want host:port"}},
		{"embedded, and what isn't", func(c *Config) {
			c.Log.Type, c.Log.TLS, c.Log.SASL = LogEmbedded, &TLS{}, &SASL{}
		}, []string{"log.brokers: only for log.type: kafka: set that, or remove this key", "log.tls: only for", "log.sasl: only for"}},
		{"data of a cluster", func(c *Config) { c.Log.Data = "x" }, []string{"log.data: only for log.type: embedded"}},
		{"partitions", func(c *Config) { c.Log.Partitions = 0 }, []string{"log.partitions: want 1 or more, not 0"}},
		{"replication factor", func(c *Config) { c.Log.ReplicationFactor = 0 },
			[]string{"log.replication_factor: want 1 or more, or -1 for the broker's default, not 0"}},
		{"missing offsets", func(c *Config) { c.Log.MissingOffsets = "latest" },
			[]string{`log.missing_offsets: want one of refuse, replay, skip, not "latest"`}},
		{"sasl", func(c *Config) { c.Log.SASL = &SASL{Mechanism: "GSSAPI"} }, []string{
			`log.sasl.mechanism: want one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, not "GSSAPI"`,
			"log.sasl.username: required", "log.sasl.password: required: set it, or ANGZARR_LOG_SASL_PASSWORD"}},
		{"certificate without a key", func(c *Config) { c.Log.TLS = &TLS{Cert: "x"} }, []string{"log.tls.key: required with log.tls.cert"}},
		{"key without a certificate", func(c *Config) { c.Log.TLS = &TLS{Key: "x"} }, []string{"log.tls.cert: required with log.tls.key"}},

		{"snapshots type", func(c *Config) { c.Snapshots.Type = "etcd" }, []string{`snapshots.type: want one of memory, redis, not "etcd"`}},
		{"redis nowhere", func(c *Config) { c.Snapshots.Type = "redis" }, []string{"snapshots.address: required"}},
		{"redis without a port", func(c *Config) { c.Snapshots = Snapshots{Type: "redis", Address: "redis"} }, []string{"snapshots.address: want host:port"}},
		{"redis by url", func(c *Config) { c.Snapshots = Snapshots{Type: "redis", Address: "redis://:hunter2@h:1"} },
			[]string{"snapshots.address: want host:port without a scheme, such as localhost:50051, not what is there"}},
		{"user without a password", func(c *Config) { c.Snapshots = Snapshots{Type: "redis", Address: "r:1", Username: "u"} },
			[]string{"snapshots.password: required with snapshots.username"}},
		{"redis' keys in memory", func(c *Config) {
			c.Snapshots = Snapshots{Type: "memory", Address: "r:1", Username: "u", Password: NewSecret("hunter2"), TLS: &TLS{}, Cluster: true}
		}, []string{"snapshots.address: only for snapshots.type: redis", "snapshots.username: only", "snapshots.password: only",
			"snapshots.tls: only", "snapshots.cluster: only"}},

		{"no limits", func(c *Config) { c.Limits = Limits{} }, []string{"limits.open_book: want more than 0", "limits.answer: want more than 0",
			"limits.books: want more than 0", "limits.waiting: want 1 or more"}},
		{"a book larger than memory", func(c *Config) { c.Limits.Books = mib }, []string{"limits.books: want at least limits.open_book (3MiB), not 1MiB"}},
		{"depth", func(c *Config) { c.SynchronousDepth = 0 }, []string{"synchronous_depth: want 1 or more hops, not 0"}},

		{"no domain", func(c *Config) { c.BusinessLogic[0].Domain = "" }, []string{"business_logic[0].domain: required"}},
		{"dotted domain", func(c *Config) { c.BusinessLogic[0].Domain = "a.b" },
			[]string{`business_logic[0].domain: want lower-case letters, digits, - and _, at most 200, the first a letter or digit, not "a.b"`}},
		{"upper-case domain", func(c *Config) { c.BusinessLogic[0].Domain = "A" }, []string{"business_logic[0].domain: want lower-case"}},
		{"domain with a dash first", func(c *Config) { c.BusinessLogic[0].Domain = "-a" }, []string{"business_logic[0].domain: want lower-case"}},
		{"long domain", func(c *Config) { c.BusinessLogic[0].Domain = strings.Repeat("a", 201) }, []string{"business_logic[0].domain: want lower-case"}},
		{"our own name", func(c *Config) { c.BusinessLogic[0].Domain = "saga" },
			[]string{`business_logic[0].domain: "saga" is taken by angzarr's own topics and groups`}},
		{"two for a domain", func(c *Config) { c.BusinessLogic = append(c.BusinessLogic, c.BusinessLogic[0]) },
			[]string{`business_logic[1].domain: "inventory" is given at business_logic[0].domain already: one service a domain`}},
		{"logic nowhere", func(c *Config) { c.BusinessLogic[0].Address = "" },
			[]string{"business_logic[0].address: required: the service's host:port, or ANGZARR_SERVICE_ENDPOINT"}},
		{"nameless projector", func(c *Config) { c.Projectors[0].Name = "" }, []string{"projectors[0].name: required"}},
		{"two projectors of a name", func(c *Config) { c.Projectors = append(c.Projectors, c.Projectors[0]) },
			[]string{`projectors[1].name: "summary" is given at projectors[0].name already`}},
		{"two sagas of a name", func(c *Config) { c.Sagas = append(c.Sagas, c.Sagas[0]) },
			[]string{`sagas[1].name: "summary" is given at sagas[0].name already`}},
		{"a projector's domains", func(c *Config) { c.Projectors[0].Domains = []string{"a", "a", "B", ""} },
			[]string{`projectors[0].domains[1]: "a" is given at projectors[0].domains[0] already`,
				"projectors[0].domains[2]: want lower-case", "projectors[0].domains[3]: required"}},
		{"attempts", func(c *Config) { c.Projectors[0].Attempts, c.Sagas[0].Attempts = -1, -2 },
			[]string{"projectors[0].attempts: want 1 or more, or leave it out for 10, not -1", "sagas[0].attempts: want 1 or more"}},
		{"event types", func(c *Config) { c.Sagas[0].EventTypes = []string{"order.OrderPlaced", "order.*", ""} },
			[]string{`sagas[0].event_types[1]: want a message's full name, such as order.OrderPlaced, not "order.*"`, "sagas[0].event_types[2]: want a message's full name"}},
		{"saga nowhere", func(c *Config) { c.Sagas[0].Address = "" }, []string{"sagas[0].address: required"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			tt.spoil(c)
			var got []string
			if err := c.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("want lines that begin\n%s\ngot\n%s", strings.Join(tt.want, "\n"), strings.Join(got, "\n"))
			}
		})
	}
}
