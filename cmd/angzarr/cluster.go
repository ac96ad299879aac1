package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/log"
)

const defaultBrokers = "127.0.0.1:9092"

// clusterFlags say which Kafka a command looks at.
type clusterFlags struct {
	brokers []string
	config  string
	output  string
}

func (f *clusterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.brokers, "brokers", nil, "host:port of Kafka brokers (default "+defaultBrokers+")")
	flags.StringVar(&f.config, "config", "", "a process's configuration, of which log says how to reach them; also by ANGZARR_CONFIG")
	flags.StringVarP(&f.output, "output", "o", "text", "text or json")
	cmd.MarkFlagsMutuallyExclusive("brokers", "config")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// connect checks the flags, and that somebody answers.
func (f *clusterFlags) connect(ctx context.Context) (log.Cluster, error) {
	if f.output != "text" && f.output != "json" {
		return log.Cluster{}, usageError{fmt.Errorf("--output %s: must be text or json", f.output)}
	}
	cluster, err := f.cluster()
	if err != nil {
		return cluster, err
	}
	return cluster, cluster.Ping(ctx)
}

func (f *clusterFlags) cluster() (log.Cluster, error) {
	if len(f.brokers) > 0 {
		return log.Cluster{Brokers: f.brokers}, nil
	}
	if f.config == "" && os.Getenv("ANGZARR_CONFIG") == "" {
		return log.Cluster{Brokers: []string{defaultBrokers}}, nil
	}
	c, err := config.Load(f.config, os.Environ(), nil)
	if err != nil {
		return log.Cluster{}, err
	}
	if c.Log.Type == config.LogEmbedded {
		return log.Cluster{}, usageError{fmt.Errorf("log.type is %s, of which only its own process knows the address: give --brokers", config.LogEmbedded)}
	}
	cluster := log.Cluster{Brokers: c.Log.Brokers}
	return cluster, secure(&cluster, c.Log)
}

// ageText is how long ago something was, for people.
func ageText(since, now time.Time) string {
	if since.IsZero() {
		return "-"
	}
	switch d := max(0, now.Sub(since)); {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
