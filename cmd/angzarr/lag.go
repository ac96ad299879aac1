package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

const lagHelp = `Print how far behind every consumer group is: a domain's workers in its commands,
projectors and sagas in events.

WAITING counts offsets that are not finished yet. Markers of transactions are
among them, so that it is never too low. OLDEST is how long the oldest of these
records has waited: the figure to alarm on.`

const lagExample = `  angzarr lag
  angzarr lag --brokers redpanda:9092 --partitions
  angzarr lag -o json | jq 'select(.waiting > 1000)'`

func newLagCommand() *cobra.Command {
	flags, perPartition := &clusterFlags{}, false
	cmd := &cobra.Command{
		Use:     "lag",
		Short:   "Print how far behind workers, projectors and sagas are",
		Long:    lagHelp,
		Example: lagExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			standings, err := flags.standings(cmd)
			if err != nil {
				return err
			}
			lags := lagsOf(standings, perPartition)
			if flags.output == outputJSON {
				return printLagJSON(cmd, lags)
			}
			return printLag(cmd, lags, perPartition)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&perPartition, "partitions", false, "a line for each partition")
	return cmd
}

func (f *clusterFlags) standings(cmd *cobra.Command) ([]partitioning.Standing, error) {
	cluster, err := f.connect(cmd.Context())
	if err != nil {
		return nil, err
	}
	return partitioning.Standings(cmd.Context(), cluster, log.GroupPrefix)
}

// lag is how far behind a group is in a topic. The names in JSON are a promise.
type lag struct {
	Group     string     `json:"group"`
	Topic     string     `json:"topic"`
	Partition *int32     `json:"partition,omitempty"`
	Owners    int        `json:"owners"` // processes that own a partition
	Unowned   int        `json:"unowned"`
	Waiting   int64      `json:"waiting"`
	Since     *time.Time `json:"since,omitempty"`

	owners map[partitioning.Identity]bool
}

// lagsOf sums standings up by group and topic.
func lagsOf(standings []partitioning.Standing, perPartition bool) (lags []*lag) {
	for _, s := range standings {
		n := len(lags)
		if perPartition || n == 0 || lags[n-1].Group != s.Group || lags[n-1].Topic != s.Topic {
			lags = append(lags, &lag{Group: s.Group, Topic: s.Topic, owners: make(map[partitioning.Identity]bool)})
			n++
		}
		l := lags[n-1]
		if perPartition {
			l.Partition = &s.Partition
		}
		if s.Owned {
			l.owners[s.Owner] = true
			l.Owners = len(l.owners)
		} else {
			l.Unowned++
		}
		l.Waiting += s.Waiting
		if since := s.Since.UTC(); !s.Since.IsZero() && (l.Since == nil || since.Before(*l.Since)) {
			l.Since = &since
		}
	}
	return lags
}

func printLagJSON(cmd *cobra.Command, lags []*lag) error {
	out := json.NewEncoder(cmd.OutOrStdout())
	for _, l := range lags {
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

func printLag(cmd *cobra.Command, lags []*lag, perPartition bool) error {
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
	partition := func(l *lag, heading string) string {
		switch {
		case !perPartition:
			return ""
		case l == nil:
			return heading + "\t"
		}
		return fmt.Sprint(*l.Partition, "\t")
	}
	fmt.Fprintf(table, "GROUP\tTOPIC\t%sPROCESSES\tWAITING\tOLDEST\n", partition(nil, "PARTITION"))
	now := time.Now()
	for _, l := range lags {
		oldest := "-"
		if l.Since != nil {
			oldest = ageText(*l.Since, now)
		}
		processes := fmt.Sprint(l.Owners)
		if l.Unowned > 0 {
			processes += fmt.Sprintf(" (%d unowned)", l.Unowned)
		}
		fmt.Fprintf(table, "%s\t%s\t%s%s\t%d\t%s\n", l.Group, l.Topic, partition(l, ""), processes, l.Waiting, oldest)
	}
	return table.Flush()
}
