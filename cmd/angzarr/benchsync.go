package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/bench"
)

const benchSyncHelp = `Measure synchronous answers.

One caller gives commands, one after the other, to a child process ("angzarr
serve") with two domains, a projector of both and a saga that turns each event of
the first into a command to the second: plain ones first, for comparison, then
synchronous ones. Each synchronous answer must hold the books of both aggregates
and both projections, or there are no figures.`

func newBenchSyncCommand() *cobra.Command {
	var o bench.SyncOptions
	var output string
	command := &cobra.Command{
		Use:   "sync",
		Short: "Measure synchronous answers",
		Long:  benchSyncHelp,
		Example: `  angzarr bench sync
  angzarr bench sync --brokers localhost:9092 --duration 20s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Binary, err = os.Executable(); err != nil {
				return fmt.Errorf("bench: find this program: %w", err)
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			report, err := bench.RunSync(cmd.Context(), o)
			if err != nil {
				return fmt.Errorf("bench sync: %w", err)
			}
			if output == outputJSON {
				return report.WriteJSON(cmd.OutOrStdout())
			}
			return report.WriteText(cmd.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&o.Brokers, "brokers", nil, "host:port of Kafka brokers; none means the embedded one, in this process")
	flags.Int32Var(&o.Partitions, "partitions", 12, "partitions of each domain")
	flags.Int16Var(&o.Replication, "replication", 1, "replicas of each partition")
	flags.IntVar(&o.Size, "size", 200, "bytes of a command's payload, and of an event's")
	flags.DurationVar(&o.Duration, "duration", 10*time.Second, "how long each kind of answer is measured")
	flags.DurationVar(&o.Warmup, "warmup", 2*time.Second, "how long it is asked for before that")
	addOutput(command, &output)
	flags.BoolVarP(&o.Child, "verbose", "v", false, "show what the child process writes")
	return command
}
