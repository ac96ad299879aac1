package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/bench/takeover"
	"github.com/spf13/cobra"
)

const takeoverHelp = `Measure what the shelf is for: for how long nobody answers when a process dies,
stops, hangs or starts, and what that costs while all is well.

Load and business logic run in this process, coordinators in child processes
("angzarr serve"). A domain is filled with --aggregates aggregates of two pages
each, written straight into its events topic; all that a run writes is deleted
afterwards. A table names each figure, its goal, and whether it is met.

  rebuild  the shelf is made from the log, beside a bare scan and a bare write
  kill     one of two processes under load is killed, --takeovers times
  stop     one of two processes under load is stopped, --takeovers times
  restart  both are killed and started again
  hang     one of two is stopped by SIGSTOP, or killed with peers off
  cold     a start with a full shelf, large and a hundredth of it
  cost     commands with few books in memory, and with all of them
  shelf    throughput with snapshots.type redis and memory

In the end the logs are read: every page that was filled in and every command that
was answered must be there exactly once. If not, there are no figures, and the exit
status is 1.`

func newBenchTakeoverCommand() *cobra.Command {
	var options takeover.Options
	var verbose bool
	var output string
	command := &cobra.Command{
		Use:   "takeover --redis HOST:PORT",
		Short: "Measure takeovers, starts and the shelf",
		Long:  takeoverHelp,
		Example: `  angzarr bench takeover --brokers localhost:9092 --redis localhost:6379
  angzarr bench takeover --redis localhost:6379 --aggregates 10000 --takeovers 3   # on the embedded broker
  angzarr bench takeover --brokers localhost:9092 --redis localhost:6379 --sections kill,stop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("bench takeover: find this program: %w", err)
			}
			options.Binary, options.Child = binary, verbose
			options.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if err := options.Check(); err != nil {
				return usageError{err}
			}
			report, err := takeover.Run(cmd.Context(), options)
			if err != nil {
				return fmt.Errorf("bench takeover: %w", err)
			}
			if output == outputJSON {
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(report)
			}
			return report.WriteText(cmd.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringSliceVar(&options.Brokers, "brokers", nil, "host:port of Kafka brokers; none means the embedded one, in this process")
	flags.StringVar(&options.Redis, "redis", "", "host:port of the Redis for the shelf")
	flags.Int32Var(&options.Partitions, "partitions", 12, "partitions of each domain")
	flags.Int16Var(&options.Replication, "replication", 1, "replicas of each partition")
	flags.StringSliceVar(&options.Sections, "sections", nil, "what to measure: "+strings.Join(takeover.Sections, ", ")+" (all)")
	flags.IntVar(&options.Aggregates, "aggregates", 1_000_000, "aggregates of the large domain")
	flags.IntVar(&options.Takeovers, "takeovers", 20, "how often a process is killed, and stopped")
	flags.IntVar(&options.Repeats, "repeats", 5, "how often all else is done")
	flags.IntVar(&options.Rate, "rate", 1000, "commands a second while processes come and go")
	flags.IntVar(&options.Callers, "callers", 64, "calls under way where throughput is measured")
	flags.DurationVar(&options.Duration, "duration", 5*time.Second, "how long throughput is measured each time")
	addOutput(command, &output)
	flags.BoolVarP(&verbose, "verbose", "v", false, "show what the child processes write")
	return command
}
