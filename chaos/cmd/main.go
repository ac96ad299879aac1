// Command chaos is the checker: it runs a deployment under faults, and proves
// from the log that nothing was lost, doubled or answered wrongly.
//
// Exit status: 0 nothing is wrong, 1 something is, or it could not be run.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/angzarr/angzarr-kafka/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := chaos.Options{Out: os.Stdout, Root: "."}
	flag.Uint64Var(&o.Seed, "seed", uint64(rand.Uint32()), "of the schedule of faults")
	flag.DurationVar(&o.Duration, "for", 10*time.Minute, "how long clients give commands while faults happen")
	flag.IntVar(&o.Processes, "processes", 4, "serve processes; every second one has peers")
	flag.IntVar(&o.Partitions, "partitions", 12, "of the domain")
	flag.IntVar(&o.Roots, "roots", 240, "aggregates, counters and registers")
	flag.IntVar(&o.Clients, "clients", 32, "that give one command after the other")
	flag.IntVar(&o.KafkaPort, "kafka-port", 19792, "of the Kafka that is started")
	flag.StringVar(&o.Snapshots, "snapshots", "memory", "where open books are: memory, or redis, which is started")
	brokers := flag.String("brokers", "", "a Kafka that is there, instead of one that is started: host:port,…; it is not killed")
	seams := flag.Bool("seams", false, "switch one rule after the other off, and expect that to be found")
	flag.Parse()
	if *brokers != "" {
		o.Brokers = strings.Split(*brokers, ",")
	}
	check := chaos.Run
	if *seams {
		check = chaos.Seams
	}
	if err := check(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}
