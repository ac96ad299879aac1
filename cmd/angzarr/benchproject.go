package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/bench"
)

const benchProjectHelp = `Measure projectors: how many events a second they are called for, and how soon.

A new domain is filled with --events of --aggregates. Then a child process ("angzarr
serve", or the yardstick: a loop that consumes, calls and commits, in lockstep) calls
a projector in this process for all of them, and publishes what it answers, side
after side, run after run. A run counts only if the projections that can be read in
the end cover all events.`

func newBenchProjectorCommand() *cobra.Command {
	var o bench.ProjectOptions
	var output string
	command := &cobra.Command{
		Use:   "projector",
		Short: "Measure projectors and their rebuilds",
		Long:  benchProjectHelp,
		Example: `  angzarr bench projector
  angzarr bench projector --brokers localhost:9092 --probes 200
  angzarr bench projector --brokers localhost:9092 --failing-root
  angzarr bench projector --brokers localhost:9092 --sides ours --rebuild --events 1000000 --runs 3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Binary, err = os.Executable(); err != nil {
				return fmt.Errorf("bench: find this program: %w", err)
			}
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if err := o.Check(); err != nil {
				return usageError{err}
			}
			report, err := bench.RunProject(cmd.Context(), o)
			if err != nil {
				return fmt.Errorf("bench projector: %w", err)
			}
			if output == outputJSON {
				return report.WriteJSON(cmd.OutOrStdout())
			}
			return report.WriteText(cmd.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&o.Brokers, "brokers", nil, "host:port of Kafka brokers; none means the embedded one, in this process")
	flags.Int32Var(&o.Partitions, "partitions", 12, "partitions of the domain, and of the projections")
	flags.Int16Var(&o.Replication, "replication", 1, "replicas of each partition")
	flags.StringVar(&o.Sides, "sides", bench.SideBoth, "ours, bare or both")
	flags.IntVar(&o.Runs, "runs", 5, "runs of each side")
	flags.IntVar(&o.Events, "events", 200_000, "events of the domain")
	flags.IntVar(&o.Aggregates, "aggregates", 10_000, "roots, which have their events in turn")
	flags.IntVar(&o.Size, "size", 200, "bytes of an event's payload, and of a projection's")
	flags.IntVar(&o.Probes, "probes", 0, "events that are written one by one in the end, for the time until their projections can be read")
	flags.BoolVar(&o.FailingRoot, "failing-root", false, "compare with a projector that fails on one root, instead of with the yardstick")
	flags.BoolVar(&o.Rebuild, "rebuild", false, "have the projector rebuilt after each run")
	flags.IntVar(&o.Calls, "calls", 256, "calls that the yardstick has under way at most")
	flags.IntVar(&o.Poll, "poll", 2000, "records that go into a transaction of the yardstick at most")
	addOutput(command, &output)
	flags.BoolVarP(&o.Child, "verbose", "v", false, "show what the child processes write")
	return command
}

// newBareProjectorCommand is what `bench projector` starts as its child.
