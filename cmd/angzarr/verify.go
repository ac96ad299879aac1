package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"github.com/angzarr/angzarr-kafka/verify"
)

const verifyHelp = `Read a domain's log, all of it, and prove that it is what it must be: each root's
pages are 1, 2, 3, … in its partition; a command is there once; headers say what
keys say; snapshots cover what is before them; nothing follows upon an erasure; and
outcomes name pages that are there.

With --config, or ANGZARR_CONFIG, of a process whose snapshots.type is redis, the
shelf is compared with the log, book by book. Of a partition that is written to all
the while nothing can be said; the exit status is 3 then, if nothing else is wrong.

It changes nothing, and may run beside the deployment. The exit status is 1 if
anything is wrong.`

const verifyExample = `  angzarr verify inventory
  angzarr verify inventory --config angzarr.yaml
  angzarr verify inventory -o json | jq .wrong`

func newVerifyCommand() *cobra.Command {
	flags := &clusterFlags{}
	cmd := &cobra.Command{
		Use:     "verify DOMAIN",
		Short:   "Read a domain's log and prove that nothing is lost, doubled or wrong",
		Long:    verifyHelp,
		Example: verifyExample,
		Args:    wants("DOMAIN"),
		RunE:    func(cmd *cobra.Command, args []string) error { return flags.verify(cmd, args[0]) },
	}
	flags.add(cmd)
	return cmd
}

func (f *clusterFlags) verify(cmd *cobra.Command, domain string) error {
	if err := log.ValidDomain(domain); err != nil {
		return usageError{err}
	}
	cluster, err := f.connect(cmd.Context())
	if err != nil {
		return err
	}
	shelf, err := f.openShelf(cmd)
	if err != nil {
		return err
	}
	if shelf != nil {
		defer shelf.Close()
	}
	var bar *progress
	begun := time.Now()
	report, err := verify.Domain(cmd.Context(), verify.Options{
		Cluster: cluster, Domain: domain, Shelf: shelf,
		Tell: func(done, total int64) {
			if bar == nil {
				bar = newProgress(cmd.ErrOrStderr(), "offsets", total)
			}
			bar.at(done)
		},
	})
	if bar != nil {
		bar.end()
	}
	if errors.Is(err, log.ErrGone) {
		return fmt.Errorf("there is no domain %s on this cluster: \"angzarr topics\" lists what is there", domain)
	}
	if err != nil && cmd.Context().Err() != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "angzarr: interrupted after %s pages; %s were wrong by then\n", grouped(report.Pages), grouped(report.Wrong))
		return errors.Join(errReported, err)
	}
	if err != nil {
		return unknownError{err}
	}
	return f.printVerified(cmd, domain, report, time.Since(begun))
}

// openShelf opens the shelf that the configuration names, nil if it names none.
func (f *clusterFlags) openShelf(cmd *cobra.Command) (*snapshots.Shelf, error) {
	if len(f.brokers) > 0 || f.config == "" && os.Getenv("ANGZARR_CONFIG") == "" {
		return nil, nil
	}
	c, err := config.Load(f.config, os.Environ(), nil)
	if err != nil || c.Snapshots.Type != config.SnapshotsRedis {
		return nil, err
	}
	o, err := redisOptions(c.Snapshots)
	if err != nil {
		return nil, err
	}
	if o.Metrics, err = snapshots.NewMetrics(noop.Meter{}); err != nil {
		return nil, err
	}
	o.Logger = slog.New(slog.DiscardHandler)
	return snapshots.Open(cmd.Context(), o)
}

// verifiedJSON is what was found, for programs. These names are a promise.
type verifiedJSON struct {
	Domain     string      `json:"domain"`
	Partitions int32       `json:"partitions"`
	Roots      int64       `json:"roots"`
	Pages      int64       `json:"pages"`
	Snapshots  int64       `json:"snapshots"`
	Erased     int64       `json:"erased"`
	Outcomes   int64       `json:"outcomes"`
	Wrong      int64       `json:"wrong"`
	Findings   []wrongJSON `json:"findings"`
	Shelf      []shelfJSON `json:"shelf,omitempty"`
}

type wrongJSON struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    *int64 `json:"offset,omitempty"`
	Text      string `json:"text"`
}

type shelfJSON struct {
	Partition int32  `json:"partition"`
	Mark      *int64 `json:"mark,omitempty"` // complete up to this offset
	Books     int    `json:"books"`
	GivenUp   int    `json:"given_up,omitempty"`
	Absent    string `json:"absent,omitempty"` // why there is none that can be believed
	Busy      bool   `json:"busy,omitempty"`
}

func verifiedOf(domain string, r *verify.Report) verifiedJSON {
	j := verifiedJSON{
		Domain: domain, Partitions: r.Partitions, Roots: r.Roots, Pages: r.Pages, Snapshots: r.Snapshots,
		Erased: r.Erased, Outcomes: r.Outcomes, Wrong: r.Wrong, Findings: []wrongJSON{},
	}
	for _, f := range r.Findings {
		w := wrongJSON{Topic: f.Topic, Partition: f.Partition, Text: f.Text}
		if f.Offset >= 0 {
			w.Offset = &f.Offset
		}
		j.Findings = append(j.Findings, w)
	}
	for _, s := range r.Shelf {
		one := shelfJSON{Partition: s.Partition, Books: s.Books, GivenUp: s.GivenUp, Busy: s.Busy}
		if s.Mark >= 0 && !s.Busy {
			one.Mark = &s.Mark
		}
		if s.Why != nil {
			one.Absent = s.Why.Error()
		}
		j.Shelf = append(j.Shelf, one)
	}
	return j
}

func (f *clusterFlags) printVerified(cmd *cobra.Command, domain string, r *verify.Report, took time.Duration) error {
	p := printer{out: cmd.OutOrStdout()}
	busy := 0
	for _, s := range r.Shelf {
		if s.Busy {
			busy++
		}
	}
	if f.output == outputJSON {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(verifiedOf(domain, r)); err != nil {
			return err
		}
	} else {
		p.textVerified(cmd, domain, r, took)
	}
	switch {
	case r.Wrong > 0:
		return errors.Join(errReported, p.err)
	case busy > 0:
		return errors.Join(unknownError{errReported}, p.err)
	}
	return p.err
}

func (p *printer) textVerified(cmd *cobra.Command, domain string, r *verify.Report, took time.Duration) {
	colours := inkFor(cmd.OutOrStdout())
	for _, f := range r.Findings {
		at := fmt.Sprintf("%s/%d", f.Topic, f.Partition)
		if f.Offset >= 0 {
			at += fmt.Sprintf("/%d", f.Offset)
		}
		p.printf("%s  %s: %s\n", colours.red("wrong"), at, printable(f.Text))
	}
	if more := r.Wrong - int64(len(r.Findings)); more > 0 {
		p.printf("       and %s more\n", grouped(more))
	}
	p.printf("%s: %s pages of %s roots, %s erased, %s snapshots, %s outcomes, in %d partitions, read in %s\n", domain,
		grouped(r.Pages), grouped(r.Roots), grouped(r.Erased), grouped(r.Snapshots), grouped(r.Outcomes), r.Partitions, took.Round(time.Millisecond))
	for _, s := range r.Shelf {
		switch {
		case s.Busy:
			p.printf("shelf, partition %d: it was written to all the while; ask again when there is less to do\n", s.Partition)
		case s.Mark < 0:
			p.printf("shelf, partition %d: none that can be believed (%v); its owner makes it anew\n", s.Partition, s.Why)
		default:
			p.printf("shelf, partition %d: %s books up to offset %d, %d given up\n", s.Partition, grouped(int64(s.Books)), s.Mark, s.GivenUp)
		}
	}
	switch {
	case r.Wrong > 0:
		p.printf("%s\n", colours.red(fmt.Sprintf("%s wrong", grouped(r.Wrong))))
	default:
		p.printf("%s\n", colours.green("nothing is wrong"))
	}
}
