package takeover

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Line is one figure.
type Line struct {
	Section string `json:"section"`
	What    string `json:"what"`
	Figure  string `json:"figure"`
	Goal    string `json:"goal,omitempty"`
	Met     *bool  `json:"met,omitempty"` // nil: for orientation
}

// Report is what a run has measured.
type Report struct {
	Options Options `json:"options"`
	Lines   []Line  `json:"lines"`
}

// WriteText writes the report as a table.
func (r *Report) WriteText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "section\twhat\tfigure\tgoal\tmet")
	for _, l := range r.Lines {
		met := ""
		if l.Met != nil {
			met = map[bool]string{true: "yes", false: "NO"}[*l.Met]
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", l.Section, l.What, l.Figure, l.Goal, met)
	}
	return w.Flush()
}

// note adds a figure for orientation.
func (r *Report) note(section, what, figure string) {
	r.Lines = append(r.Lines, Line{Section: section, What: what, Figure: figure})
}

func (r *Report) judge(section, what, figure, goal string, met bool) {
	r.Lines = append(r.Lines, Line{section, what, figure, goal, &met})
}

// atMost judges a time.
func (r *Report) atMost(section, what string, took, goal time.Duration) {
	r.judge(section, what, seconds(took), "≤ "+seconds(goal), took <= goal)
}

// ratio judges one figure against another.
func (r *Report) ratio(section, what string, ratio, goal float64) {
	r.judge(section, what, fmt.Sprintf("%.2f", ratio), fmt.Sprintf("≤ %.2f", goal), ratio <= goal)
}

// failed judges how many calls got no answer.
func (r *Report) failed(section string, s stretch) {
	figure := fmt.Sprintf("0 of %d", s.calls)
	if len(s.failures) > 0 {
		figure = fmt.Sprintf("%d of %d, the first: %v", len(s.failures), s.calls, s.failures[0])
	}
	r.judge(section, "calls that failed", figure, "0", len(s.failures) == 0)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// times are sorted by summary.
type times []time.Duration

func (t times) p50() time.Duration { return middle(t) }

func (t times) worst() time.Duration { return slices.Max(t) }

// between shows the ends.
func (t times) between() string {
	return fmt.Sprintf("%s (%s … %s)", seconds(t.p50()), seconds(slices.Min(t)), seconds(t.worst()))
}

// middle is the median: of an even number, the upper one of the two.
func middle[T int | float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// spread shows the median and the ends.
func spread(all []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+" … "+format+")", middle(all), slices.Min(all), slices.Max(all))
}
