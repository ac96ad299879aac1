package bench

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Which sides are measured.
const (
	SideOurs = "ours" // `serve` alone
	SideBare = "bare" // the yardstick alone
	SideBoth = "both" // both, alternating
)

// Options say what to measure. Zero values are taken as they are: the command
// line has the defaults.
type Options struct {
	// Binary is run as the child: `Binary serve --config …` and
	// `Binary bench bare-worker --config …`.
	Binary string `json:"-"`
	// Target, if given, is the front door of a deployment that runs already, and
	// whose business logic for Domain is at LogicListen. No child is started,
	// and nothing deleted.
	Target      string `json:"target,omitempty"`
	Domain      string `json:"domain,omitempty"`
	LogicListen string `json:"logic_listen,omitempty"`

	// Brokers; none means the embedded one, in this process.
	Brokers     []string `json:"brokers,omitempty"`
	Partitions  int32    `json:"partitions"`
	Replication int16    `json:"replication"`
	// Redis, if given, is where `serve` keeps its shelf; what it writes there stays.
	Redis string `json:"redis,omitempty"`

	Sides string `json:"sides"`
	// Topic makes the load produce to the commands topic instead of calling.
	Topic bool `json:"topic"`
	// Callers is how many calls are under way (a closed loop); Connections, on
	// how many connections.
	Callers     int `json:"callers"`
	Connections int `json:"connections"`
	// Outstanding is how many produced commands may lack their event.
	Outstanding int `json:"outstanding"`
	Aggregates  int `json:"aggregates"`
	// Events are those that a saga works off in each run.
	Events int `json:"events,omitempty"`
	// Size of a command's, an event's and a snapshot's payload, in bytes.
	Size int `json:"size"`

	Runs     int           `json:"runs"`
	Warmup   time.Duration `json:"warmup"`
	Duration time.Duration `json:"duration"`

	LogicDelay time.Duration `json:"logic_delay"`
	// SlowRoot, if positive, is how long logic takes for one root that a caller
	// of its own keeps busy. Its commands are counted apart.
	SlowRoot      time.Duration `json:"slow_root"`
	SnapshotEvery int           `json:"snapshot_every"`

	// Workers and Calls shape the bare side.
	Workers int `json:"bare_workers"`
	Calls   int `json:"bare_calls"`

	// Log is told of each run's end. Child, if given, makes what the child
	// writes visible as it is written.
	Log   *slog.Logger `json:"-"`
	Child bool         `json:"-"`
}

// Check names the first option that makes no sense, and what would.
func (o Options) Check() error {
	positive := []struct {
		name  string
		value int64
	}{
		{"runs", int64(o.Runs)}, {"duration", int64(o.Duration)}, {"aggregates", int64(o.Aggregates)},
		{"callers", int64(o.Callers)}, {"connections", int64(o.Connections)}, {"outstanding", int64(o.Outstanding)},
		{"partitions", int64(o.Partitions)}, {"replication", int64(o.Replication)},
		{"bare-workers", int64(o.Workers)}, {"bare-calls", int64(o.Calls)}, {"snapshot-every", int64(o.SnapshotEvery)},
	}
	for _, p := range positive {
		if p.value < 1 {
			return fmt.Errorf("%s: %d, must be positive", p.name, p.value)
		}
	}
	switch {
	case o.Size < smallestPayload || o.Size > 1<<18:
		return fmt.Errorf("size: %d bytes, must be %d to %d", o.Size, smallestPayload, 1<<18)
	case o.Sides != SideOurs && o.Sides != SideBare && o.Sides != SideBoth:
		return fmt.Errorf("sides: %q, must be %s, %s or %s", o.Sides, SideOurs, SideBare, SideBoth)
	case o.Target != "" && (o.Sides != SideOurs || o.Domain == "" || o.LogicListen == "" || len(o.Brokers) == 0):
		return errors.New("target: needs a domain, the address where its business logic is expected and the brokers, and has no bare side")
	}
	return nil
}
