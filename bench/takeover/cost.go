package takeover

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/bench/usage"
)

// side is one of two processes whose commands are compared.
type side struct {
	*process
	d         *domain
	perSecond []float64
	cpu       []float64 // microseconds a command
	looked    []float64 // books looked for on the shelf, a command
}

func (w *world) side(ctx context.Context, d *domain, s setting) (*side, error) {
	p, err := w.newProcess(d, s)
	if err == nil {
		err = p.start(ctx)
	}
	if err == nil {
		_, err = d.eachReady(ctx, p)
	}
	if err != nil && p != nil {
		p.end()
	}
	return &side{process: p, d: d}, err
}

// window loads the side for a while, and adds what that came to.
func (s *side) window(ctx context.Context) error {
	l := s.d.load(ctx, s.w.Callers, 0, s.process)
	defer l.stop()
	if err := sleep(ctx, s.w.Duration/5); err != nil { // what comes first doesn't count
		return err
	}
	before, looked, begun := s.usage(), s.lookups(ctx), time.Now()
	l.cut()
	if err := sleep(ctx, s.w.Duration); err != nil {
		return err
	}
	got, took, after := l.cut(), time.Since(begun), s.usage()
	if len(got.failures) > 0 {
		return fmt.Errorf("%d calls failed, the first: %w", len(got.failures), got.failures[0])
	}
	if got.calls == 0 {
		return fmt.Errorf("no call was answered within %v", took)
	}
	calls := float64(got.calls)
	s.perSecond = append(s.perSecond, calls/took.Seconds())
	s.cpu = append(s.cpu, (after.CPU-before.CPU).Seconds()*1e6/calls)
	s.looked = append(s.looked, (s.lookups(ctx)-looked)/calls)
	return nil
}

// lookups are how many books the process has looked for on its shelf.
func (s *side) lookups(ctx context.Context) (books float64) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	content, _ := io.ReadAll(response.Body)
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "angzarr_shelf_lookups") && len(fields) > 1 {
			n, _ := strconv.ParseFloat(fields[len(fields)-1], 64)
			books += n
		}
	}
	return books
}

// alternate measures two sides by turns; who begins changes.
func (w *world) alternate(ctx context.Context, a, b *side) error {
	for n := range w.Repeats {
		order := []*side{a, b}
		if n%2 == 1 {
			order = []*side{b, a}
		}
		for _, s := range order {
			if err := s.window(ctx); err != nil {
				return err
			}
			last := len(s.perSecond) - 1
			w.Log.Info("measured", "number", n+1, "domain", s.d.what, "per_second", int(s.perSecond[last]), "cpu_us", int(s.cpu[last]))
		}
	}
	return nil
}

// ratios are those of pairs.
func ratios(a, b []float64) (all []float64) {
	for i := range a {
		all = append(all, a[i]/b[i])
	}
	return all
}

func (w *world) describe(section string, s *side) {
	w.report.note(section, s.d.what+": commands a second", spread(s.perSecond, "%.0f"))
	w.report.note(section, s.d.what+": CPU a command", spread(s.cpu, "%.0f µs"))
}

// cost compares commands where few books are in memory with commands where all
// are.
func (w *world) cost(ctx context.Context) error {
	large, err := w.largeOne(ctx)
	if err != nil {
		return err
	}
	tiny, err := w.tinyOne(ctx)
	if err != nil {
		return err
	}
	few, err := w.side(ctx, large, setting{redis: true})
	if err != nil {
		return err
	}
	defer few.end()
	all, err := w.side(ctx, tiny, setting{redis: true})
	if err != nil {
		return err
	}
	defer all.end()
	for _, s := range []*side{few, all} {
		if err := s.warm(ctx); err != nil {
			return err
		}
	}
	if err := w.alternate(ctx, few, all); err != nil {
		return err
	}
	const section = "cost"
	for _, s := range []*side{few, all} {
		w.describe(section, s)
		w.report.note(section, s.d.what+": commands whose book was not in memory", spread(s.looked, "%.2f"))
	}
	w.report.ratio(section, "CPU a command, large / tiny", middle(ratios(few.cpu, all.cpu)), 1.5)
	w.report.ratio(section, "time a command, large / tiny", middle(ratios(all.perSecond, few.perSecond)), 1.5)
	peak := max(few.usage().Peak, all.usage().Peak)
	w.report.judge(section, "most resident memory, limits.books 64 MiB", fmt.Sprintf("%.0f MiB", usage.MiB(peak)), "≤ 128 MiB", usage.MiB(peak) <= 128)
	if err := few.term(ctx); err != nil {
		return err
	}
	return all.term(ctx)
}

// roomy is more books than limits.books has room for.
const roomy = 100_000

// warm fills the memory with books, nearly all of them where there is room.
func (s *side) warm(ctx context.Context) error {
	l := s.d.load(ctx, s.w.Callers, 0, s.process)
	defer l.stop()
	return l.more(ctx, int64(min(3*s.d.aggregates, roomy)))
}

// shelf compares commands with a shelf and without, on books that are in memory.
func (w *world) shelf(ctx context.Context) error {
	aggregates := max(100, w.Aggregates/1000)
	sides := make([]*side, 2)
	for i, with := range []bool{true, false} {
		d, err := w.newDomain(ctx, map[bool]string{true: "redis", false: "memory"}[with], aggregates)
		if err != nil {
			return err
		}
		if sides[i], err = w.side(ctx, d, setting{redis: with}); err != nil {
			return err
		}
		defer sides[i].end()
		if err := sides[i].warm(ctx); err != nil {
			return err
		}
	}
	if err := w.alternate(ctx, sides[0], sides[1]); err != nil {
		return err
	}
	const section = "shelf"
	for _, s := range sides {
		w.describe(section, s)
	}
	all := ratios(sides[0].perSecond, sides[1].perSecond)
	w.report.judge(section, "throughput, redis / memory", spread(all, "%.2f"), "≥ 0.90", middle(all) >= 0.9)
	for _, s := range sides {
		if err := s.term(ctx); err != nil {
			return err
		}
	}
	return nil
}
