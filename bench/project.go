package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
)

// SideFailing is `serve` with a projector that fails on one root.
const SideFailing = "failing"

// ProjectOptions say what of a projector's way to measure.
type ProjectOptions struct {
	Binary      string   `json:"-"`
	Brokers     []string `json:"brokers,omitempty"` // none means the embedded one
	Partitions  int32    `json:"partitions"`
	Replication int16    `json:"replication"`

	Sides      string `json:"sides"`
	Runs       int    `json:"runs"`
	Events     int    `json:"events"`
	Aggregates int    `json:"aggregates"`
	Size       int    `json:"size"` // of an event's payload, and of a projection's
	// Probes is how many events are written one by one, once all others are done:
	// how long each takes until its projection can be read.
	Probes int `json:"probes"`
	// FailingRoot compares with a projector that fails on one root, instead of with
	// the yardstick.
	FailingRoot bool `json:"failing_root"`
	// Rebuild has the projector rebuilt after each run.
	Rebuild bool `json:"rebuild"`
	// Calls and Poll shape the bare side: calls under way, records a transaction.
	Calls int `json:"bare_calls"`
	Poll  int `json:"bare_poll"`

	Log   *slog.Logger `json:"-"`
	Child bool         `json:"-"`
}

// Check names the first option that makes no sense.
func (o ProjectOptions) Check() error {
	for _, p := range []struct {
		name  string
		value int64
	}{
		{"partitions", int64(o.Partitions)}, {"replication", int64(o.Replication)}, {"runs", int64(o.Runs)},
		{"events", int64(o.Events)}, {"aggregates", int64(o.Aggregates)}, {"size", int64(o.Size)},
		{"calls", int64(o.Calls)}, {"poll", int64(o.Poll)},
	} {
		if p.value < 1 {
			return fmt.Errorf("%s: %d, must be positive", p.name, p.value)
		}
	}
	switch {
	case o.Probes < 0:
		return fmt.Errorf("probes: %d, must be 0 or more", o.Probes)
	case o.Events < 10*o.Aggregates:
		return fmt.Errorf("events: %d, must be 10 or more for each of the %d aggregates", o.Events, o.Aggregates)
	case o.Sides != SideOurs && o.Sides != SideBare && o.Sides != SideBoth:
		return fmt.Errorf("sides: %q, must be %s, %s or %s", o.Sides, SideOurs, SideBare, SideBoth)
	}
	return nil
}

func (o ProjectOptions) sides() []string {
	switch {
	case o.FailingRoot:
		return []string{SideFailing, SideOurs}
	case o.Sides == SideBoth:
		return []string{SideOurs, SideBare}
	}
	return []string{o.Sides}
}

// ProjectResult is what one run of one side gave.
type ProjectResult struct {
	PerSecond float64 `json:"per_second"` // events
	Together  float64 `json:"together"`   // events a call
	CPUMicros float64 `json:"cpu_us_per_event"`
	RSSMiB    float64 `json:"rss_mib"`
	// Latency is from an event's acknowledgement until its projection was read.
	Latency Latency `json:"latency_ms"`
	// Of a rebuild: its rate, how long it took to have its projections shown once
	// it had called for all events, and the memory at a fifth of it and at its
	// highest from there on.
	RebuildPerSecond float64 `json:"rebuild_per_second"`
	SwitchSeconds    float64 `json:"switch_s"`
	RebuildEarlyMiB  float64 `json:"rebuild_early_mib"`
	RebuildPeakMiB   float64 `json:"rebuild_peak_mib"`
}

// ProjectReport is what all runs gave.
type ProjectReport struct {
	Date    time.Time                  `json:"date"`
	Machine string                     `json:"machine"`
	Command string                     `json:"command"`
	Options ProjectOptions             `json:"options"`
	Sides   map[string][]ProjectResult `json:"sides"`
}

var projectFigures = []struct {
	name string
	of   func(ProjectResult) float64
}{
	{"events_per_second", func(r ProjectResult) float64 { return r.PerSecond }},
	{"events_per_call", func(r ProjectResult) float64 { return r.Together }},
	{"p50_ms", func(r ProjectResult) float64 { return r.Latency.P50 }},
	{"p99_ms", func(r ProjectResult) float64 { return r.Latency.P99 }},
	{"cpu_us_per_event", func(r ProjectResult) float64 { return r.CPUMicros }},
	{"rss_mib", func(r ProjectResult) float64 { return r.RSSMiB }},
	{"rebuild_per_second", func(r ProjectResult) float64 { return r.RebuildPerSecond }},
	{"rebuild_to_run", func(r ProjectResult) float64 { return r.RebuildPerSecond / r.PerSecond }},
	{"switch_s", func(r ProjectResult) float64 { return r.SwitchSeconds }},
	{"rebuild_early_mib", func(r ProjectResult) float64 { return r.RebuildEarlyMiB }},
	{"rebuild_peak_mib", func(r ProjectResult) float64 { return r.RebuildPeakMiB }},
}

// WriteText prints the medians, with minimum and maximum, of each side, and the
// median of the pairs' ratios.
func (r *ProjectReport) WriteText(out io.Writer) error {
	fmt.Fprintf(out, "%s\n%s, %s\n%d runs of %d events; median (min … max)\n\n",
		r.Command, r.Machine, r.Date.Format(time.DateOnly), r.Options.Runs, r.Options.Events)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	sides := r.Options.sides()
	header := "\t" + strings.Join(sides, "\t")
	if len(sides) > 1 {
		header += "\t" + strings.Join(sides, "/")
	}
	fmt.Fprintln(table, header)
	for _, figure := range projectFigures {
		row, known := []string{figure.name}, false
		values := make([][]float64, len(sides))
		for i, side := range sides {
			for _, result := range r.Sides[side] {
				values[i] = append(values[i], figure.of(result))
			}
			spread := newSpread(values[i])
			known = known || spread.Max > 0
			row = append(row, spread.text())
		}
		if !known {
			continue
		}
		if len(sides) > 1 {
			var ratios []float64
			for i := range values[0] {
				if values[1][i] > 0 && values[0][i] > 0 {
					ratios = append(ratios, values[0][i]/values[1][i])
				}
			}
			if len(ratios) > 0 {
				row = append(row, newSpread(ratios).text())
			}
		}
		fmt.Fprintln(table, strings.Join(row, "\t"))
	}
	return table.Flush()
}

// WriteJSON prints the report for programs.
func (r *ProjectReport) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// projects are all runs of a projector, on one domain.
type projects struct {
	ProjectOptions
	client *kgo.Client
	admin  *kadm.Client
	folder string
	domain log.Domain
	roots  []root
	pages  map[root]uint32 // how many each has
	total  int
}

// RunProject fills a domain of its own, and has each side call a projector for all
// of it, run after run. A run counts only if the projections that can be read in the
// end cover all events.
func RunProject(ctx context.Context, o ProjectOptions) (report *ProjectReport, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	report = &ProjectReport{
		Date: time.Now().UTC().Truncate(time.Second), Machine: machine(), Command: "angzarr " + strings.Join(os.Args[1:], " "),
		Options: o, Sides: make(map[string][]ProjectResult),
	}
	if len(o.Brokers) == 0 {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return nil, fmt.Errorf("start the embedded broker: %w", err)
		}
		defer cluster.Close()
		o.Brokers, o.Replication = cluster.ListenAddrs(), 1
	}
	p := &projects{ProjectOptions: o, pages: make(map[root]uint32)}
	if p.folder, err = os.MkdirTemp("", "angzarr-bench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(p.folder)
	if p.client, err = kgo.NewClient(clientOptions(o.Brokers)...); err != nil {
		return nil, err
	}
	defer p.client.Close()
	p.admin = kadm.NewClient(p.client)
	name := "bench-project-" + uuid.NewString()[:8]
	defer func() { err = errors.Join(err, deleteTopics(context.WithoutCancel(ctx), p.admin, name)) }()
	if p.domain, err = log.EnsureDomain(ctx, p.client, name, log.TopicSettings{Partitions: o.Partitions, ReplicationFactor: o.Replication}); err != nil {
		return nil, err
	}
	if err := p.fill(ctx); err != nil {
		return nil, fmt.Errorf("fill the domain: %w", err)
	}
	for number := range o.Runs {
		for _, side := range o.sides() {
			result, err := p.measure(ctx, side, number+1)
			if err != nil {
				return nil, fmt.Errorf("%s, run %d: %w", side, number+1, err)
			}
			o.Log.Info("run", "side", side, "number", number+1, "per_second", int(result.PerSecond),
				"p50_ms", math.Round(result.Latency.P50*100)/100, "rebuild_per_second", int(result.RebuildPerSecond))
			report.Sides[side] = append(report.Sides[side], result)
		}
	}
	return report, nil
}

// fill writes the events: the first page of each root, then the second one of each,
// and so on.
func (p *projects) fill(ctx context.Context) error {
	client, err := kgo.NewClient(clientOptions(p.Brokers, kgo.TransactionalID("bench-"+p.domain.Name),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(4*inTransaction))...)
	if err != nil {
		return err
	}
	defer client.Close()
	f, filler := &filling{client: client, domain: p.domain}, newFiller()
	p.roots = newRoots(1, p.Aggregates)
	for i := range p.Events {
		r := p.roots[i%p.Aggregates]
		p.pages[r]++
		f.payload = filler.payload(max(p.Size, smallestPayload), stamp{index: uint64(i)}).Value
		if err := f.add(ctx, uuid.UUID(r), p.pages[r]); err != nil {
			return err
		}
	}
	p.total = p.Events
	return f.commit(ctx)
}
