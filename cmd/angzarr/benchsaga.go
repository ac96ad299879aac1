package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/bench"
)

const benchSagaHelp = `Measure how fast a saga works off events that are there: one command of each event,
written to another domain's commands topic in the transaction that commits the
event's offset.

Each run has a new domain that is filled with --events, and a child process
("angzarr serve" with the saga alone), which is measured from the tenth part of the
commands to the ninth. --bare runs the yardstick beside it, alternating: poll, make
the same calls, produce, offsets, end, in lockstep, without keeping a root's events
in order.

After each run the log is read: each event's command must be there exactly once. If
not, there are no figures, and the exit status is 1.`

func newBenchSagaCommand() *cobra.Command {
	var o bench.Options
	var bare, output string
	command := &cobra.Command{
		Use:   "saga",
		Short: "Measure a saga's hop, from events to commands",
		Long:  benchSagaHelp,
		Example: `  angzarr bench saga
  angzarr bench saga --bare --brokers localhost:9092`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			known := false
			if o.Sides, known = sidesOf(bare); !known {
				return usageError{fmt.Errorf("--bare=%s: must be yes, no or only", bare)}
			}
			if o.Binary, err = os.Executable(); err != nil {
				return fmt.Errorf("bench: find this program: %w", err)
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			report, err := bench.RunSaga(cmd.Context(), o)
			if err != nil {
				return fmt.Errorf("bench saga: %w", err)
			}
			return writeReport(cmd.OutOrStdout(), report, output)
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&o.Brokers, "brokers", nil, "host:port of Kafka brokers; none means the embedded one, in this process")
	flags.Int32Var(&o.Partitions, "partitions", 12, "partitions of each domain")
	flags.Int16Var(&o.Replication, "replication", 1, "replicas of each partition")
	flags.IntVar(&o.Events, "events", 200_000, "of each run")
	flags.IntVar(&o.Aggregates, "aggregates", 10_000, "roots")
	flags.IntVar(&o.Size, "size", 200, "bytes of an event's payload, and of a command's")
	flags.IntVar(&o.Runs, "runs", 7, "runs of each side")
	flags.IntVar(&o.Calls, "calls", 256, "calls to the saga that the yardstick has under way at most")
	flags.StringVar(&bare, "bare", "no", "run the yardstick too, or only: yes, no, only")
	flags.Lookup("bare").NoOptDefVal = "yes"
	addOutput(command, &output)
	flags.BoolVarP(&o.Child, "verbose", "v", false, "show what the child processes write")
	return command
}

// newBareSagaCommand is what `bench saga --bare` starts as its child.
