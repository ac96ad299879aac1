package takeover

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Sections are all there are, in the order in which they run.
var Sections = []string{"rebuild", "kill", "stop", "restart", "hang", "cold", "cost", "shelf"}

// Options say what to measure. Zero values are taken as they are: the command
// line has the defaults.
type Options struct {
	// Binary is run as `Binary serve --config …`.
	Binary string `json:"-"`
	// Brokers; none means an embedded one, in this process.
	Brokers     []string `json:"brokers,omitempty"`
	Redis       string   `json:"redis"` // host:port; what a run writes there is deleted
	Partitions  int32    `json:"partitions"`
	Replication int16    `json:"replication"`

	// Sections to run; all, if none is named.
	Sections []string `json:"sections,omitempty"`
	// Aggregates of the large domain. A small one has a hundredth of them, a
	// tiny one a thousandth.
	Aggregates int `json:"aggregates"`
	// Takeovers is how often a process is killed, and stopped.
	Takeovers int `json:"takeovers"`
	// Repeats is how often everything else is done.
	Repeats int `json:"repeats"`
	// Rate is how many commands a second are called while processes come and go.
	Rate int `json:"rate"`
	// Callers are as many calls as are under way where throughput is measured,
	// each for Duration.
	Callers  int           `json:"callers"`
	Duration time.Duration `json:"duration"`

	// Log is told what is done. Child, if true, makes what children write
	// visible as it is written.
	Log   *slog.Logger `json:"-"`
	Child bool         `json:"-"`
}

// Check names the first option that makes no sense, and what would.
func (o Options) Check() error {
	for _, p := range []struct {
		name         string
		value, least int64
	}{
		{"partitions", int64(o.Partitions), 2}, {"replication", int64(o.Replication), 1},
		{"aggregates", int64(o.Aggregates), 1000}, {"takeovers", int64(o.Takeovers), 1},
		{"repeats", int64(o.Repeats), 1}, {"rate", int64(o.Rate), 1}, {"callers", int64(o.Callers), 1},
		{"duration", int64(o.Duration), 1},
	} {
		if p.value < p.least {
			return fmt.Errorf("%s: %d, must be at least %d", p.name, p.value, p.least)
		}
	}
	for _, s := range o.Sections {
		if !slices.Contains(Sections, s) {
			return fmt.Errorf("sections: there is no %q, only %s", s, strings.Join(Sections, ", "))
		}
	}
	if o.Redis == "" {
		return errors.New("redis: the shelf needs one: host:port")
	}
	return nil
}

func (o Options) runs(section string) bool {
	return len(o.Sections) == 0 || slices.Contains(o.Sections, section)
}
