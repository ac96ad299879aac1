package verify

import (
	"fmt"
	"hash/maphash"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// Page is what a proof needs to know of one.
type Page struct {
	Root      log.Root
	Number    uint32
	CommandID string
	Partition int32
	Offset    int64
}

// Follow says what is wrong with a page that comes next after page last of its
// root, in a topic of so many partitions.
func Follow(p Page, last uint32, partitions int32) (wrong []string) {
	if p.Number != last+1 {
		wrong = append(wrong, fmt.Sprintf("root %s: page %d of command %s, at offset %d, follows upon page %d", p.Root, p.Number, p.CommandID, p.Offset, last))
	}
	if at := partitioning.Of(p.Root, partitions); p.Partition != at {
		wrong = append(wrong, fmt.Sprintf("root %s: page %d lies in partition %d, not %d", p.Root, p.Number, p.Partition, at))
	}
	return wrong
}

// remembered is how many of a root's last commands are known by their ids for
// certain: one of them is never applied again.
const remembered = 128

// account is what is known of a root.
type account struct {
	last    uint32
	erased  bool
	through uint32 // if it was erased, its last page

	recent []uint64 // hashes of the last commands' ids, a ring once it is full
	at     int
	latest uint64

	// doubts are wrong unless the root is erased in the end: what compaction has
	// left of it may have any gap then.
	doubts []Finding
}

// ledger keeps an account of each root.
type ledger struct {
	domain     string
	partitions int32
	report     *Report
	seed       maphash.Seed
	roots      map[log.Root]*account
}

func newLedger(domain string, partitions int32, report *Report) *ledger {
	return &ledger{domain: domain, partitions: partitions, report: report, seed: maphash.MakeSeed(), roots: make(map[log.Root]*account)}
}

func (l *ledger) of(root log.Root) *account {
	a := l.roots[root]
	if a == nil {
		a = &account{}
		l.roots[root] = a
	}
	return a
}

func findingAt(r *log.Record, format string, args ...any) Finding {
	return Finding{r.Topic, r.Partition, r.Offset, fmt.Sprintf(format, args...)}
}

// event takes in a record of the events topic.
func (l *ledger) event(r *log.Record) {
	root, number, kind := log.ParseKey(r.Key)
	if kind == log.KeyUnknown {
		l.report.add(findingAt(r, "its key of %d bytes is no page's, snapshot's or erasure's", len(r.Key)))
		return
	}
	a := l.of(root)
	switch {
	case kind == log.KeyErased:
		l.erasure(a, root, r)
	case r.Value == nil:
		if !a.erased {
			a.doubts = append(a.doubts, findingAt(r, "root %s: a tombstone, and the root is not erased", root))
		}
	case a.erased:
		l.report.add(findingAt(r, "root %s: it comes after the root's erasure", root))
	case kind == log.KeySnapshot:
		l.snapshot(a, root, r)
	default:
		l.page(a, root, number, r)
	}
}

func (l *ledger) page(a *account, root log.Root, number uint32, r *log.Record) {
	l.report.Pages++
	p, err := log.DecodePage(r)
	if err == nil {
		err = log.CheckPage(r, &p, l.domain)
	}
	if err != nil {
		l.report.add(findingAt(r, "%v", err))
	}
	for _, why := range Follow(Page{root, number, p.Cause.CommandID, r.Partition, r.Offset}, a.last, l.partitions) {
		a.doubts = append(a.doubts, findingAt(r, "%s", why))
	}
	a.last = number
	if err == nil && p.Cause.CommandID != "" && !a.once(maphash.String(l.seed, p.Cause.CommandID)) {
		a.doubts = append(a.doubts, findingAt(r, "root %s: page %d is of command %s, which was applied before", root, number, p.Cause.CommandID))
	}
}

// once says whether a page's command is a new one, or that of the page before.
func (a *account) once(command uint64) bool {
	if len(a.recent) > 0 && a.latest == command {
		return true
	}
	again := slices.Contains(a.recent, command)
	a.latest = command
	if len(a.recent) < remembered {
		a.recent = append(a.recent, command)
	} else {
		a.recent[a.at] = command
		a.at = (a.at + 1) % remembered
	}
	return !again
}

func (l *ledger) snapshot(a *account, root log.Root, r *log.Record) {
	l.report.Snapshots++
	s := &angzarr.Snapshot{}
	switch err := proto.Unmarshal(r.Value, s); {
	case err != nil:
		l.report.add(findingAt(r, "root %s: its snapshot can't be read: %v", root, err))
	case s.GetSequence() != a.last:
		a.doubts = append(a.doubts, findingAt(r, "root %s: a snapshot of page %d follows upon page %d", root, s.GetSequence(), a.last))
	}
}

func (l *ledger) erasure(a *account, root log.Root, r *log.Record) {
	if r.Value == nil {
		l.report.add(findingAt(r, "root %s: the word of its erasure is a tombstone", root))
		return
	}
	e := &angzarr.Erased{}
	if err := proto.Unmarshal(r.Value, e); err != nil {
		l.report.add(findingAt(r, "root %s: the word of its erasure can't be read: %v", root, err))
		return
	}
	switch {
	case a.erased && e.GetLastSequence() != a.through:
		l.report.add(findingAt(r, "root %s: erased up to page %d, and before up to page %d", root, e.GetLastSequence(), a.through))
	case !a.erased && a.last > e.GetLastSequence():
		l.report.add(findingAt(r, "root %s: erased up to page %d, and page %d is there", root, e.GetLastSequence(), a.last))
	}
	*a = account{last: e.GetLastSequence(), erased: true, through: e.GetLastSequence()}
}

// judge tells what all pages together say.
func (l *ledger) judge() {
	for _, a := range l.roots {
		switch {
		case a.erased:
			l.report.Erased++
		case a.last > 0:
			l.report.Roots++
		}
		for _, doubt := range a.doubts {
			l.report.add(doubt)
		}
		a.doubts, a.recent = nil, nil
	}
	slices.SortStableFunc(l.report.Findings, order)
}

func order(a, b Finding) int {
	if a.Partition != b.Partition {
		return int(a.Partition - b.Partition)
	}
	return int(max(-1, min(1, a.Offset-b.Offset)))
}

// outcome takes in a record of the outcomes topic, once all pages are known.
func (l *ledger) outcome(r *log.Record) {
	if r.Value == nil {
		return
	}
	l.report.Outcomes++
	o := &angzarr.Outcome{}
	if err := proto.Unmarshal(r.Value, o); err != nil {
		l.report.add(findingAt(r, "it can't be read: %v", err))
		return
	}
	if o.GetCode() != 0 || o.GetLastPage() == 0 {
		return
	}
	root, err := log.RootOf(o.GetCover().GetRoot().GetValue())
	if err != nil {
		l.report.add(findingAt(r, "command %s: %v", o.GetCommandId(), err))
		return
	}
	if a := l.roots[root]; a == nil || o.GetLastPage() > a.last {
		last := uint32(0)
		if a != nil {
			last = a.last
		}
		l.report.add(findingAt(r, "root %s: the outcome of command %s names pages %d to %d, the log ends at page %d", root, o.GetCommandId(), o.GetFirstPage(), o.GetLastPage(), last))
	}
}
