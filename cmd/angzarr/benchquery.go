package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/bench"
)

const benchQueryHelp = `Measure the read path: what GetEvents, Synchronize and GetAggregateRoots take.

A new domain is filled with --aggregates of --pages each, far from each other in
the log, and one more aggregate with --long pages between them; a tenth have a
snapshot, so that their pages have to be read from the log. A child process
("angzarr serve") takes it over, with a shelf if --redis is given. Then it is asked;
each answer is checked, so that missing pages are an error instead of a figure.`

func newBenchQueryCommand() *cobra.Command {
	var o bench.QueryOptions
	var output string
	command := &cobra.Command{
		Use:   "query",
		Short: "Measure the read path",
		Long:  benchQueryHelp,
		Example: `  angzarr bench query
  angzarr bench query --brokers localhost:9092 --redis localhost:6379 --aggregates 1000000 --long 100000 --partitions 24`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Binary, err = os.Executable(); err != nil {
				return fmt.Errorf("bench: find this program: %w", err)
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			report, err := bench.RunQuery(cmd.Context(), o)
			if err != nil {
				return fmt.Errorf("bench query: %w", err)
			}
			if output == outputJSON {
				return report.WriteJSON(cmd.OutOrStdout())
			}
			return report.WriteText(cmd.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&o.Brokers, "brokers", nil, "host:port of Kafka brokers; none means the embedded one, in this process")
	flags.StringVar(&o.Redis, "redis", "", "host:port of the Redis for the shelf; none means snapshots.type: memory. What is written there stays")
	flags.Int32Var(&o.Partitions, "partitions", 12, "partitions of the domain")
	flags.Int16Var(&o.Replication, "replication", 1, "replicas of each partition")
	flags.IntVar(&o.Aggregates, "aggregates", 10_000, "roots")
	flags.IntVar(&o.Pages, "pages", 5, "pages of each of them")
	flags.IntVar(&o.Long, "long", 10_000, "pages of one more root")
	flags.IntVar(&o.Size, "size", 200, "bytes of an event's payload")
	flags.IntVar(&o.Callers, "callers", 64, "calls under way, where many are")
	flags.IntVar(&o.Subscribers, "subscribers", 1000, "subscriptions of single roots")
	flags.DurationVar(&o.Duration, "duration", 5*time.Second, "how long GetEvents is asked, alone and by many")
	addOutput(command, &output)
	flags.BoolVarP(&o.Child, "verbose", "v", false, "show what the child process writes")
	return command
}
