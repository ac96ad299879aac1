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
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/angzarr/angzarr-kafka/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) == 5 && os.Args[1] == "examples" { // the checker starts itself so
		if err := chaos.ServeExamples(ctx, os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			os.Exit(1)
		}
		return
	}
	o := chaos.Options{Out: os.Stdout, Root: "."}
	flag.Uint64Var(&o.Seed, "seed", uint64(rand.Uint32()), "of the schedule of faults")
	flag.DurationVar(&o.Duration, "for", 10*time.Minute, "how long clients give commands while faults happen")
	flag.IntVar(&o.Processes, "processes", 4, "serve processes; every second one has peers")
	flag.IntVar(&o.Partitions, "partitions", 12, "of the domain")
	flag.IntVar(&o.Roots, "roots", 240, "aggregates, counters and registers")
	flag.IntVar(&o.Clients, "clients", 32, "that give one command after the other")
	flag.IntVar(&o.KafkaPort, "kafka-port", 19792, "of the Kafka that is started")
	flag.StringVar(&o.Snapshots, "snapshots", "", "where open books are: redis, which is started, or memory; redis if it is installed")
	brokers := flag.String("brokers", "", "a Kafka that is there, instead of one that is started: host:port,…; it is not killed")
	seams := flag.Bool("seams", false, "switch one rule after the other off, and expect that to be found")
	rule := flag.String("rule", "", "with -seams: only this one, as internal/seam names it")
	times := flag.Int("times", 1, "with -seams: how often")
	flag.Parse()
	if *brokers != "" {
		o.Brokers = strings.Split(*brokers, ",")
	}
	if o.Snapshots == "" {
		o.Snapshots = "redis"
		if _, err := exec.LookPath("redis-server"); err != nil {
			o.Snapshots = "memory"
			fmt.Fprintln(os.Stderr, "chaos: NOT TESTED: the shelf, and faults of Redis: there is no redis-server (Debian: apt-get install redis-server)")
		}
	}
	err := error(nil)
	if *seams {
		err = chaos.Seams(ctx, o, *rule, *times)
	} else {
		err = chaos.Run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}
