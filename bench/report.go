package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is what one run of one side gave.
type Result struct {
	Commands  int     `json:"commands"`
	PerSecond float64 `json:"per_second"`
	Latency   Latency `json:"latency_ms"`
	Slow      Latency `json:"slow_root_latency_ms"`
	// CPUMicros is what the child used for a command, LoadCPUMicros what this
	// process did: load, business logic, and the embedded broker where that is
	// used.
	CPUMicros     float64 `json:"cpu_us_per_command"`
	LoadCPUMicros float64 `json:"load_cpu_us_per_command"`
	// Resident memory of the child: before the first command, at the end, and
	// at its highest.
	IdleMiB float64 `json:"idle_mib"`
	RSSMiB  float64 `json:"rss_mib"`
	PeakMiB float64 `json:"peak_mib"`
}

// Report is what all runs gave.
type Report struct {
	Date    time.Time `json:"date"`
	Machine string    `json:"machine"`
	Command string    `json:"command"`
	Options Options   `json:"options"`
	// Sides' runs, in order.
	Sides map[string][]Result `json:"sides"`
	// Summary of each side's figures, by their JSON names.
	Summary map[string]map[string]Spread `json:"summary"`
	// Ratio is ours to bare, pair by pair.
	Ratio map[string]Spread `json:"ratio,omitempty"`
}

func newReport(o Options) *Report {
	return &Report{
		Date: time.Now().UTC().Truncate(time.Second), Machine: machine(),
		Command: "angzarr " + strings.Join(os.Args[1:], " "), Options: o,
		Sides: map[string][]Result{}, Summary: map[string]map[string]Spread{}, Ratio: map[string]Spread{},
	}
}

func machine() string {
	m := fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	cpus, _ := os.ReadFile("/proc/cpuinfo") // elsewhere the model is left out
	for line := range strings.Lines(string(cpus)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model) + ", " + m
		}
	}
	return m
}

func (r *Report) add(side string, result Result) {
	r.Sides[side] = append(r.Sides[side], result)
}

// figures in the order in which they are printed.
var figures = []struct {
	name string
	of   func(Result) float64
}{
	{"per_second", func(r Result) float64 { return r.PerSecond }},
	{"p50_ms", func(r Result) float64 { return r.Latency.P50 }},
	{"p95_ms", func(r Result) float64 { return r.Latency.P95 }},
	{"p99_ms", func(r Result) float64 { return r.Latency.P99 }},
	{"max_ms", func(r Result) float64 { return r.Latency.Max }},
	{"slow_root_p50_ms", func(r Result) float64 { return r.Slow.P50 }},
	{"cpu_us_per_command", func(r Result) float64 { return r.CPUMicros }},
	{"load_cpu_us_per_command", func(r Result) float64 { return r.LoadCPUMicros }},
	{"idle_mib", func(r Result) float64 { return r.IdleMiB }},
	{"rss_mib", func(r Result) float64 { return r.RSSMiB }},
	{"peak_mib", func(r Result) float64 { return r.PeakMiB }},
}

func (r *Report) summarize() {
	ours, bare := r.Sides[SideOurs], r.Sides[SideBare]
	for _, figure := range figures {
		for side, results := range r.Sides {
			values := make([]float64, len(results))
			for i, result := range results {
				values[i] = figure.of(result)
			}
			if r.Summary[side] == nil {
				r.Summary[side] = map[string]Spread{}
			}
			r.Summary[side][figure.name] = newSpread(values)
		}
		var ratios []float64
		for i := range min(len(ours), len(bare)) {
			if below := figure.of(bare[i]); below > 0 {
				ratios = append(ratios, figure.of(ours[i])/below)
			}
		}
		if len(ratios) > 0 {
			r.Ratio[figure.name] = newSpread(ratios)
		}
	}
}

// WriteText prints the medians, with minimum and maximum, of each side, and the
// median of the pairs' ratios.
func (r *Report) WriteText(out io.Writer) error {
	each := r.Options.Duration.String()
	if r.Options.Events > 0 {
		each = fmt.Sprint(r.Options.Events, " events")
	}
	fmt.Fprintf(out, "%s\n%s, %s\n%d runs of %s; median (min … max)\n\n",
		r.Command, r.Machine, r.Date.Format(time.DateOnly), r.Options.Runs, each)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	columns := []string{}
	for _, side := range []string{SideOurs, SideBare} {
		if len(r.Sides[side]) > 0 {
			columns = append(columns, side)
		}
	}
	header := "\t" + strings.Join(columns, "\t")
	if len(r.Ratio) > 0 {
		header += "\tours/bare"
	}
	fmt.Fprintln(table, header)
	for _, figure := range figures {
		row := []string{figure.name}
		known := false
		for _, side := range columns {
			spread := r.Summary[side][figure.name]
			known = known || spread.Max > 0
			row = append(row, spread.text())
		}
		if ratio, ok := r.Ratio[figure.name]; ok {
			row = append(row, ratio.text())
		}
		if known {
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
	}
	return table.Flush()
}

func (s Spread) text() string {
	format := "%.2f"
	if s.Max >= 1000 {
		format = "%.0f"
	}
	return fmt.Sprintf(format+" ("+format+" … "+format+")", s.Median, s.Min, s.Max)
}
