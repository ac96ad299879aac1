package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

const (
	mostFindings  = 30
	mostTimelines = 3
	mostLines     = 80 // of one timeline
)

// report says what was done to the deployment, and what clients were told.
func (r *runner) report(tries []try, e evidence, faults []fault, done []string) {
	r.say("\nschedule of seed %d:", r.o.Seed)
	for _, f := range faults {
		r.say("  %s", f)
	}
	r.say("done:")
	for _, said := range done {
		r.say("  %s", said)
	}
	kinds, results, codes := map[string]int{}, map[string]int{}, map[string]int{}
	for _, f := range faults {
		kinds[string(f.Kind)]++
	}
	var slowest int64
	for _, t := range tries {
		results[t.Result.String()]++
		if t.Result == acked {
			slowest = max(slowest, t.Return-t.Call)
		}
		if t.Said != "" {
			codes[t.Code.String()]++
		}
	}
	r.say("faults: %s", countsText(kinds))
	r.say("%d commands, given %d times: %s", len(byID(tries)), len(tries), countsText(results))
	r.say("errors that clients had: %s; slowest acknowledgement %v", countsText(codes), time.Duration(slowest).Round(time.Millisecond))
	roots := make(map[log.Root]bool)
	for _, p := range e.Pages {
		roots[p.Root] = true
	}
	r.say("in the log: %d pages of %d roots, %d outcomes; processes were started %d times", len(e.Pages), len(roots), len(e.Outcomes), r.fleet.starts)
	if r.redis != nil {
		r.say("in Redis: %s", shelvesText(e.Shelf))
	}
	r.say("")
}

// shelvesText says how much of the shelf was compared with the log.
func shelvesText(all []shelf) string {
	counts := map[bool]*struct{ marks, books, givenUp int }{false: {}, true: {}}
	for _, s := range all {
		c := counts[s.Owned]
		if s.Mark >= 0 {
			c.marks++
		}
		c.books += s.Books
		c.givenUp += s.GivenUp
	}
	left, owned := counts[false], counts[true]
	return fmt.Sprintf("when all had ended, %d partitions with a mark, %d books as the log has them, %d given up; with a new owner %d, %d and %d",
		left.marks, left.books, left.givenUp, owned.marks, owned.books, owned.givenUp)
}

func countsText(counts map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%d %s", counts[name], name))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// findingsHeading begins what is wrong.
const findingsHeading = "WRONG:"

// tell says what is wrong, with the timelines of the first roots concerned.
func (r *runner) tell(found []finding, tries []try, e evidence) {
	r.say(findingsHeading)
	for i, f := range found {
		if i == mostFindings {
			r.say("  … and %d more", len(found)-i)
			break
		}
		r.say("  %s", f)
	}
	told := make(map[log.Root]bool)
	for _, f := range found {
		if f.Root == (log.Root{}) || told[f.Root] || len(told) == mostTimelines {
			continue
		}
		told[f.Root] = true
		r.say("\nroot %s:\n%s", f.Root, strings.Join(timeline(f, tries, e), "\n"))
	}
}

// firstFindings are the first lines of what a run says is wrong.
func firstFindings(said string) string {
	_, wrong, _ := strings.Cut(said, findingsHeading+"\n")
	wrong, _, _ = strings.Cut(wrong, "\n\n") // timelines
	lines := strings.Split(strings.TrimRight(wrong, "\n"), "\n")
	return strings.Join(lines[:min(3, len(lines))], "\n")
}

// timeline is what happened to a root, in order of the calls, with the pages of
// each command beside it; where it is long, what is around the finding.
func timeline(f finding, tries []try, e evidence) (lines []string) {
	pages := make(map[string][]string)
	for _, p := range e.Pages {
		if p.Root == f.Root {
			pages[p.ID] = append(pages[p.ID], fmt.Sprintf("%s at offset %d", p, p.Offset))
		}
	}
	outcomes := make(map[string][]string)
	for _, o := range e.Outcomes {
		outcomes[o.ID] = append(outcomes[o.ID], fmt.Sprintf("outcome %s pages %d to %d %s", o.Code, o.First, o.Last, o.Said))
	}
	var mine []try
	for _, t := range tries {
		if t.Root == f.Root {
			mine = append(mine, t)
		}
	}
	slices.SortFunc(mine, func(a, b try) int { return cmp.Compare(a.Call, b.Call) })
	around := slices.IndexFunc(mine, func(t try) bool { return t.ID == f.ID })
	first := max(0, min(around, len(mine))-mostLines/2)
	for _, t := range mine[first:min(len(mine), first+mostLines)] {
		lines = append(lines, "  "+t.String())
		for _, more := range append(outcomes[t.ID], pages[t.ID]...) {
			lines = append(lines, "      "+more)
		}
	}
	return lines
}

func (t try) String() string {
	end := "        -"
	if t.Return != forever {
		end = fmt.Sprintf("%9.4f", time.Duration(t.Return).Seconds())
	}
	expected := ""
	if t.Expected > 0 {
		expected = fmt.Sprintf(", as page %d", t.Expected)
	}
	told := t.Said
	switch t.Result {
	case acked:
		told = pagesText(t.Pages)
	case seen:
		told = fmt.Sprintf("page %d, value %d", t.At.Last, t.At.Value)
	}
	return fmt.Sprintf("%9.4f to %s  %-8s %s%s by %s: %s %s", time.Duration(t.Call).Seconds(), end, t.ID, textOf(t.command()), expected, t.Way, t.Result, told)
}
