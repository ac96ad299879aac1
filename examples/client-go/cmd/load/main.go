// Command load puts load on a deployment's inventory for a while, says how long
// calls took, and checks that each answered one is in the log exactly once. Exit
// status 1 if one failed, is missing, is there twice, or took longer than -worst.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/angzarr/angzarr-kafka/examples/client-go/load"
)

func main() {
	server := "127.0.0.1:50050"
	if s := os.Getenv("ANGZARR_SERVER"); s != "" {
		server = s
	}
	flag.StringVar(&server, "server", server, "`address` of a front door, also by ANGZARR_SERVER")
	o := load.Options{Domain: "inventory"}
	flag.IntVar(&o.Products, "products", 64, "aggregates")
	flag.IntVar(&o.Callers, "callers", 16, "calls under way")
	flag.DurationVar(&o.For, "for", 10*time.Second, "how long")
	worst := flag.Duration("worst", 0, "fail if a call takes longer; 0: as long as it takes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, server, o, *worst); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, server string, o load.Options, worst time.Duration) error {
	conn, err := grpc.NewClient(server, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	report, err := load.Run(ctx, conn, o)
	if err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return err
	}
	fmt.Println(report)
	if worst > 0 && report.Worst > worst {
		return fmt.Errorf("a call took %v, longer than %v", report.Worst, worst)
	}
	return nil
}
