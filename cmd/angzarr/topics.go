package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/log"
)

const topicsHelp = `Print Angzarr's topics, all of them or those of a domain: how many partitions and
copies, what is kept and for how long, how much there is.

OFFSETS counts what the partitions hold: records, those that compaction took, and
the markers of transactions. BYTES are those on the brokers' disks, all copies
together. What is wrong with a topic is asked of "angzarr doctor".`

const topicsExample = `  angzarr topics
  angzarr topics inventory --brokers redpanda:9092
  angzarr topics -o json | jq -r 'select(.replicas < 3) | .topic'`

func newTopicsCommand() *cobra.Command {
	flags := &clusterFlags{}
	cmd := &cobra.Command{
		Use:     "topics [DOMAIN]",
		Short:   "Print the topics, what they keep, and how much there is",
		Long:    topicsHelp,
		Example: topicsExample,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, err := flags.connect(cmd.Context())
			if err != nil {
				return err
			}
			admin, err := cluster.NewAdmin("angzarr-topics")
			if err != nil {
				return err
			}
			defer admin.Close()
			found, err := admin.Topics(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) > 0 {
				found, err = ofDomain(found, args[0])
			}
			if err != nil {
				return err
			}
			if flags.output == outputJSON {
				return printTopicsJSON(cmd, found)
			}
			return printTopics(cmd, found)
		},
	}
	flags.add(cmd)
	return cmd
}

// ofDomain narrows topics to those of a domain.
func ofDomain(all []log.TopicState, domain string) ([]log.TopicState, error) {
	if err := log.ValidDomain(domain); err != nil {
		return nil, usageError{err}
	}
	wanted := log.DomainTopics(domain)
	var found []log.TopicState
	var domains []string
	for _, t := range all {
		if slices.Contains(wanted, t.Name) {
			found = append(found, t)
		}
		if other, ok := log.DomainOf(t.Name); ok {
			domains = append(domains, other)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("the cluster has no topics of domain %s; there are %s", domain, cmp.Or(strings.Join(domains, ", "), "none of any domain"))
	}
	return found, nil
}

// topicJSON is a topic for programs. These names are a promise.
type topicJSON struct {
	Topic      string            `json:"topic"`
	Partitions int32             `json:"partitions"`
	Replicas   int               `json:"replicas"`
	Leaderless []int32           `json:"leaderless,omitempty"`
	Behind     []int32           `json:"behind,omitempty"`
	Offsets    int64             `json:"offsets"`
	Bytes      *int64            `json:"bytes,omitempty"`
	Newest     *time.Time        `json:"newest,omitempty"`
	Settings   map[string]string `json:"settings"`
}

func printTopicsJSON(cmd *cobra.Command, topics []log.TopicState) error {
	out := json.NewEncoder(cmd.OutOrStdout())
	for _, t := range topics {
		j := topicJSON{
			Topic: t.Name, Partitions: t.Partitions, Replicas: t.Replicas, Leaderless: t.Leaderless, Behind: t.Behind,
			Offsets: t.Offsets, Settings: t.Settings,
		}
		if t.Bytes >= 0 {
			j.Bytes = &t.Bytes
		}
		if newest := t.Newest.UTC(); !t.Newest.IsZero() {
			j.Newest = &newest
		}
		if err := out.Encode(j); err != nil {
			return err
		}
	}
	return nil
}

func printTopics(cmd *cobra.Command, topics []log.TopicState) error {
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 3, ' ', 0)
	fmt.Fprint(table, "TOPIC\tPARTITIONS\tCOPIES\tKEPT\tOFFSETS\tBYTES\n")
	for _, t := range topics {
		size := "-"
		if t.Bytes >= 0 {
			size = sizeText(t.Bytes)
		}
		partitions := fmt.Sprint(t.Partitions)
		if len(t.Leaderless) > 0 {
			partitions += " (no leader: " + ranges(t.Leaderless) + ")"
		}
		copies := fmt.Sprint(t.Replicas)
		if len(t.Behind) > 0 {
			copies += " (behind: " + ranges(t.Behind) + ")"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, partitions, copies, keptText(t), grouped(t.Offsets), size)
	}
	return table.Flush()
}

// keptText says what a topic keeps.
func keptText(t log.TopicState) string {
	policy := t.Settings["cleanup.policy"]
	if policy != "delete" {
		return policy
	}
	switch ms := t.Setting("retention.ms"); {
	case ms < 0:
		return "for ever"
	default:
		return spanText(time.Duration(ms) * time.Millisecond)
	}
}

// spanText writes a span of time as settings are thought of: 7d, 15m.
func spanText(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d >= day && d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

func sizeText(bytes int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, unit := float64(bytes), 0
	for size >= 1024 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprint(bytes, " B")
	}
	return fmt.Sprintf("%.1f %s", size, units[unit])
}
