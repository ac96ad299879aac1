// Package verify reads a domain's log and proves that it is what it must be:
//
//	<domain>.events ────► ledger: each root's numbers, ids, snapshots, erasure ─┐
//	<domain>.outcomes ──► ledger: whether the pages that they name are there ───┼─► Report
//	Redis, partition by partition ──► Shelf.Audit, against the log once more ───┘
//
// What is proved, of all that is committed when it begins:
//   - A root's pages are 1, 2, 3, … in the order of the log, in its partition.
//   - What a page's headers say of it is what its key says.
//   - A command of a root is there once.
//   - A snapshot covers the pages before it, all of them.
//   - Nothing comes after an erasure, and only an erasure leaves tombstones.
//   - An outcome that says OK names pages that are there.
//   - The shelf in Redis is what the log says.
package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

// Options say what is to be proved.
type Options struct {
	Cluster log.Cluster
	Domain  string
	// Shelf is nil where there is none, or it is not to be compared.
	Shelf *snapshots.Shelf
	// Tell is told how many offsets of how many have been read. It may be nil.
	Tell func(done, total int64)
}

// Finding is one thing that is wrong.
type Finding struct {
	Topic     string
	Partition int32
	Offset    int64 // -1 if it is not of one record
	Text      string
}

// Report is what was found.
type Report struct {
	Partitions                      int32
	Roots, Pages, Snapshots, Erased int64
	Outcomes                        int64
	// Findings are the first ones, Wrong is how many there are in all.
	Findings []Finding
	Wrong    int64
	Shelf    []ShelfReport // nil if it was not compared
}

// mostFindings is how many are kept: where all is wrong, more say nothing more.
const mostFindings = 1000

func (r *Report) add(f Finding) {
	r.Wrong++
	if len(r.Findings) < mostFindings {
		r.Findings = append(r.Findings, f)
	}
}

// Domain proves what the package's page says of a domain. The error says that it
// could not be read; what the report has by then is true.
func Domain(ctx context.Context, o Options) (*Report, error) {
	admin, err := o.Cluster.NewAdmin("angzarr-verify")
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	report := &Report{}
	domain, err := admin.Describe(ctx, o.Domain)
	if err != nil {
		return report, fmt.Errorf("domain %s: %w", o.Domain, err)
	}
	report.Partitions = domain.Partitions

	// Outcomes first: the pages that they name are before the other ends then.
	outcomes, events := log.OutcomesTopic(o.Domain), log.EventsTopic(o.Domain)
	reads := []stretch{{topic: outcomes}, {topic: events}}
	var total int64
	for i := range reads {
		if err := reads[i].find(ctx, admin); err != nil {
			return report, err
		}
		total += reads[i].length()
	}
	slices.Reverse(reads) // what outcomes name must be known
	l := newLedger(o.Domain, domain.Partitions, report)
	done := int64(0)
	for _, s := range reads {
		take := l.event
		if s.topic == outcomes {
			l.judge() // all pages are known
			take = l.outcome
		}
		if err := s.read(ctx, o, take, done, total); err != nil {
			return report, err
		}
		done += s.length()
	}
	if o.Shelf == nil {
		return report, nil
	}
	report.Shelf, err = shelf(ctx, o, admin, domain)
	for _, s := range report.Shelf {
		for _, why := range s.Wrong {
			report.add(Finding{"shelf", s.Partition, -1, why})
		}
	}
	return report, err
}

// stretch is what is there of a topic when the proof begins.
type stretch struct {
	topic string
	spans map[int32]log.Span
}

func (s *stretch) find(ctx context.Context, admin *log.Admin) error {
	ends, err := admin.HighWatermarks(ctx, s.topic)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.topic, err)
	}
	starts, err := admin.Starts(ctx, s.topic)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.topic, err)
	}
	s.spans = make(map[int32]log.Span, len(ends))
	for partition, end := range ends {
		s.spans[partition] = log.Span{From: starts[partition], To: end}
	}
	return nil
}

func (s *stretch) length() (n int64) {
	for _, span := range s.spans {
		n += span.To - span.From
	}
	return n
}

// read has each record taken, and tells how far it is: markers of transactions
// come between the records, and count as read with the one behind them.
func (s *stretch) read(ctx context.Context, o Options, take func(*log.Record), before, total int64) error {
	at := make(map[int32]int64, len(s.spans))
	for partition, span := range s.spans {
		at[partition] = span.From
	}
	done := before
	return o.Cluster.Scan(ctx, s.topic, s.spans, func(r *log.Record) error {
		done += r.Offset + 1 - at[r.Partition]
		at[r.Partition] = r.Offset + 1
		if o.Tell != nil {
			o.Tell(done, total)
		}
		take(r)
		return nil
	})
}
