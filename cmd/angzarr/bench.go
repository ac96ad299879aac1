package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/angzarr/angzarr-kafka/bench"
)

const benchHelp = `Measure the write path: commands in, committed events out.

Load and business logic run in this process, the coordinator in a child process
("angzarr serve" with a configuration of its own), each run in a new domain whose
topics are deleted afterwards. The business logic answers every command with one
event of the command's size, and with a snapshot every 4 pages, so that open
books stay short.

--grpc is a closed loop: each of --callers sends its next command when the last
one is answered. --topic produces commands as fast as it can while no more than
--outstanding lack their event, and reads the committed events; there, latency is
from before the produce to the read, most of it waiting in line.

--bare runs the yardstick beside it, alternating: the shortest loop that makes the
same calls with the same client and commits the same kind of transaction, without
admission, books or numbering, in lockstep. --bare=only runs nothing else.

After each run the log is read: every acknowledged command must be there exactly
once. If not, there are no figures, and the exit status is 1.`

func newBenchCommand() *cobra.Command {
	var options bench.Options
	var calls, verbose bool
	var bare, output string
	command := &cobra.Command{
		Use:   "bench",
		Short: "Measure the write path, and beside it the shortest loop that does the same",
		Long:  benchHelp,
		Example: `  angzarr bench                                # calls, on the embedded broker
  angzarr bench --bare --brokers localhost:9092 --callers 256
  angzarr bench --bare --brokers localhost:9092 --topic
  angzarr bench --brokers localhost:9092 --logic-delay 10ms --slow-root -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sides, known := sidesOf(bare)
			if !known {
				return usageError{fmt.Errorf("--bare=%s: must be yes, no or only", bare)}
			}
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("bench: find this program: %w", err)
			}
			options.Binary, options.Sides, options.Child = binary, sides, verbose
			options.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if err := options.Check(); err != nil {
				return usageError{err}
			}
			report, err := bench.Run(cmd.Context(), options)
			if err != nil {
				return fmt.Errorf("bench: %w", err)
			}
			return writeReport(cmd.OutOrStdout(), report, output)
		},
	}
	flags := command.Flags()
	flags.BoolVar(&calls, "grpc", false, "load by calls of BusinessCoordinator.Handle (the default)")
	flags.BoolVar(&options.Topic, "topic", false, "load by records in the commands topic")
	command.MarkFlagsMutuallyExclusive("grpc", "topic")
	flags.StringVar(&bare, "bare", "no", "run the yardstick too, or only: yes, no, only")
	flags.Lookup("bare").NoOptDefVal = "yes"
	addOutput(command, &output)
	flags.BoolVarP(&verbose, "verbose", "v", false, "show what the child processes write")
	loadFlags(flags, &options)
	deploymentFlags(flags, &options)
	command.AddCommand(
		newBenchTakeoverCommand(), newBenchQueryCommand(), newBenchSyncCommand(), newBenchSagaCommand(), newBenchProjectorCommand(),
		newBareCommand("bare-worker", "The yardstick's process", bench.RunBare),
		newBareCommand("bare-saga", "The saga's yardstick's process", bench.RunBareSaga),
		newBareCommand("bare-projector", "The projector's yardstick's process", bench.RunBareProjector),
	)
	return command
}

// sidesOf are the sides that --bare asks for.
func sidesOf(bare string) (sides string, known bool) {
	sides, known = map[string]string{"no": bench.SideOurs, "yes": bench.SideBoth, "only": bench.SideBare}[bare]
	return sides, known
}

func loadFlags(flags *pflag.FlagSet, o *bench.Options) {
	flags.IntVar(&o.Callers, "callers", 64, "calls under way, with --grpc")
	flags.IntVar(&o.Connections, "connections", 1, "connections that they share")
	flags.IntVar(&o.Outstanding, "outstanding", 10_000, "commands under way, with --topic")
	flags.IntVar(&o.Aggregates, "aggregates", 10_000, "roots, of which each command takes one by chance")
	flags.IntVar(&o.Size, "size", 200, "bytes of a command's payload, and of an event's and a snapshot's")
	flags.IntVar(&o.Runs, "runs", 7, "runs of each side")
	flags.DurationVar(&o.Duration, "duration", 10*time.Second, "how long each run is measured")
	flags.DurationVar(&o.Warmup, "warmup", 2*time.Second, "how long load is on before that")
	flags.DurationVar(&o.LogicDelay, "logic-delay", 0, "how long business logic takes")
	flags.DurationVar(&o.SlowRoot, "slow-root", 0, "keep one more root busy for which logic takes this long, and count it apart")
	flags.Lookup("slow-root").NoOptDefVal = "2s"
	flags.IntVar(&o.SnapshotEvery, "snapshot-every", 4, "pages that an open book may have before logic returns a snapshot")
}

func deploymentFlags(flags *pflag.FlagSet, o *bench.Options) {
	flags.StringSliceVar(&o.Brokers, "brokers", nil, "host:port of Kafka brokers; none means the embedded one, in this process")
	flags.StringVar(&o.Redis, "redis", "", "host:port of the Redis for the shelf; none means snapshots.type: memory. What is written there stays")
	flags.Int32Var(&o.Partitions, "partitions", 12, "partitions of each domain")
	flags.Int16Var(&o.Replication, "replication", 1, "replicas of each partition")
	flags.StringVar(&o.Target, "target", "", "host:port of the front door of a deployment that runs already")
	flags.StringVar(&o.Domain, "domain", "", "with --target: the domain to load; what is written stays")
	flags.StringVar(&o.LogicListen, "logic-listen", "", "with --target: host:port where it expects that domain's business logic")
	flags.IntVar(&o.Workers, "workers", 1, "loops of the yardstick, each a member of its group")
	flags.IntVar(&o.Calls, "calls", 256, "calls to business logic that each of them has under way at most")
}

func writeReport(out io.Writer, report *bench.Report, format string) error {
	if format == outputTable {
		return report.WriteText(out)
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report)
}

// newBareCommand is what `bench --bare` starts as its child: a yardstick's process.
func newBareCommand[Options any](name, short string, run func(context.Context, Options) error) *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:    name + " --config FILE",
		Short:  short,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var options Options
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := json.Unmarshal(content, &options); err != nil {
				return errors.Join(fmt.Errorf("read %s", file), err)
			}
			return run(cmd.Context(), options)
		},
	}
	command.Flags().StringVar(&file, "config", "", "the options, as JSON")
	command.MarkFlagRequired("config") //nolint:errcheck // it has just been defined
	return command
}
