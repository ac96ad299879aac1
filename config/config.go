// Package config reads what a process is to do. There are three sources, the
// later one wins, and one set of rules:
//
//	YAML file → environment → flags → Config → rules
//
// Invariants:
//   - A Config that Load returned keeps every rule of Validate.
//   - Everything that is wrong is reported at once, one line each; a line names
//     the key and what would be right.
//   - No source holds a key that is ignored: unknown ones are errors.
//   - No error, log line or printed Config shows a password.
//
// docs/configuration.md lists every key; a test keeps it equal to the types here.
package config

// DefaultAdmin is the admin port where no configuration names one.
const DefaultAdmin = "127.0.0.1:50060"

// Config is one process's configuration. Fields carry the key's name in the file.
type Config struct {
	Listen           string          `koanf:"listen"` // host:port of the front door
	Peers            *Peers          `koanf:"peers"`  // nil: off
	Admin            string          `koanf:"admin"`  // host:port of health, metrics and pprof
	Log              Log             `koanf:"log"`
	Snapshots        Snapshots       `koanf:"snapshots"`
	Limits           Limits          `koanf:"limits"`
	SynchronousDepth int             `koanf:"synchronous_depth"` // hops
	BusinessLogic    []BusinessLogic `koanf:"business_logic"`    // one a domain
	Projectors       []Projector     `koanf:"projectors"`
	Sagas            []Saga          `koanf:"sagas"`
}

// Peers is how processes of one deployment hand commands to each other. Exactly
// one of TLS and Insecure is set.
type Peers struct {
	Listen    string `koanf:"listen"`
	Advertise string `koanf:"advertise"` // "": see AdvertiseAddress
	TLS       *TLS   `koanf:"tls"`       // mutual: CA, Cert and Key are set
	Insecure  bool   `koanf:"insecure"`
}

// The values of Log.Type.
const (
	LogKafka    = "kafka"
	LogEmbedded = "embedded"
)

// What Log.MissingOffsets says about a group that has no committed offset on a
// partition that isn't empty: whether to refuse to start, to read it from its
// first record, or to go on with the next one.
const (
	MissingOffsetsRefuse = "refuse"
	MissingOffsetsReplay = "replay"
	MissingOffsetsSkip   = "skip"
)

// Log is the Kafka cluster, or the embedded broker.
type Log struct {
	Type              string   `koanf:"type"`
	Brokers           []string `koanf:"brokers"`            // empty if and only if Type is LogEmbedded
	Partitions        int      `koanf:"partitions"`         // of topics that are created
	ReplicationFactor int      `koanf:"replication_factor"` // of topics that are created; -1: the broker's default
	TLS               *TLS     `koanf:"tls"`                // nil: plain text
	SASL              *SASL    `koanf:"sasl"`               // nil: no authentication
	Data              string   `koanf:"data"`               // the embedded broker's directory; "": memory
	MissingOffsets    string   `koanf:"missing_offsets"`
}

// SASL authenticates at the brokers.
type SASL struct {
	Mechanism string `koanf:"mechanism"` // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	Username  string `koanf:"username"`
	Password  Secret `koanf:"password"`
}

// The values of Snapshots.Type.
const (
	SnapshotsMemory = "memory"
	SnapshotsRedis  = "redis"
)

// Snapshots is where the shelf of open books is kept.
type Snapshots struct {
	Type     string `koanf:"type"`
	Address  string `koanf:"address"` // "" if and only if Type is SnapshotsMemory
	Username string `koanf:"username"`
	Password Secret `koanf:"password"`
	TLS      *TLS   `koanf:"tls"`     // nil: plain text
	Cluster  bool   `koanf:"cluster"` // Redis Cluster; Address is one of its nodes
}

// Limits bounds what one process takes on.
type Limits struct {
	OpenBook Size `koanf:"open_book"` // of one open book sent to business logic
	Answer   Size `koanf:"answer"`    // of one answer of business logic
	Books    Size `koanf:"books"`     // of all open books in memory
	Waiting  int  `koanf:"waiting"`   // commands admitted and not yet committed
}

// BusinessLogic is the service that decides for one domain.
type BusinessLogic struct {
	Domain  string `koanf:"domain"`
	Address string `koanf:"address"`
}

// Projector is a service that is called for the events of its domains.
type Projector struct {
	Name        string   `koanf:"name"`
	Domains     []string `koanf:"domains"` // empty: all
	Address     string   `koanf:"address"`
	Synchronous bool     `koanf:"synchronous"` // synchronous commands wait for it
	Attempts    int      `koanf:"attempts"`    // 0: DefaultAttempts
}

// DefaultAttempts is how often a projector or saga is called for an event in vain
// before the event becomes a dead letter, where the configuration doesn't say it.
// With the pauses in between that is about ten seconds.
const DefaultAttempts = 10

// Saga is a service that turns the events of its domains into commands.
type Saga struct {
	Name        string   `koanf:"name"`
	Domains     []string `koanf:"domains"` // empty: all
	Address     string   `koanf:"address"`
	Synchronous bool     `koanf:"synchronous"` // synchronous commands wait for it
	Attempts    int      `koanf:"attempts"`    // 0: DefaultAttempts
	EventTypes  []string `koanf:"event_types"` // full names; empty: all
}

// defaults is what holds where no source says anything.
func defaults() *Config {
	return &Config{
		Listen: "127.0.0.1:50050",
		Admin:  DefaultAdmin,
		Log: Log{
			Type:              LogKafka,
			Partitions:        24,
			ReplicationFactor: -1,
			MissingOffsets:    MissingOffsetsRefuse,
		},
		Snapshots:        Snapshots{Type: SnapshotsMemory},
		Limits:           Limits{OpenBook: 3 * mib, Answer: 4 * mib, Books: 64 * mib, Waiting: 10_000},
		SynchronousDepth: 3,
	}
}
