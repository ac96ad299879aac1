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
	f.addReach(cmd)
	addOutput(cmd, &f.output)
}

// addReach adds how to reach the brokers alone.
func (f *clusterFlags) addReach(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.brokers, "brokers", nil, "host:port of Kafka brokers (default "+defaultBrokers+")")
	flags.StringVar(&f.config, "config", "", "a process's configuration, of which log says how to reach them; also by ANGZARR_CONFIG")
	cmd.MarkFlagsMutuallyExclusive("brokers", "config")
}

// connect checks the flags, and that somebody answers.
func (f *clusterFlags) connect(ctx context.Context) (log.Cluster, error) {
	cluster, err := f.cluster()
	if err != nil {
		return cluster, err
	}
	if err := cluster.Ping(ctx); err != nil {
		return cluster, unknownError{fmt.Errorf("%w\nBrokers are set by --brokers, or by log.brokers of --config; `angzarr dev` starts one at %s", err, defaultBrokers)}
	}
	return cluster, nil
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
