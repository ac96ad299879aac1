package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/spf13/cobra"
)

func newServeCommand() *cobra.Command {
	var path string
	logging := loggingFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the coordinators and the front door that a configuration names",
		Long: `Run the coordinators and the front door that a configuration names.

The configuration is a YAML file (--config, or ANGZARR_CONFIG), then the
environment (ANGZARR_…). docs/configuration.md lists every key.

On SIGTERM or Ctrl-C what is decided is committed, callers get their answers,
and the consumer groups are left, so that others take over at once.`,
		Example: `  angzarr serve --config angzarr.yaml
  ANGZARR_LOG_BROKERS=localhost:9092 angzarr serve --config angzarr.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := logging.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			c, err := config.Load(path, os.Environ(), nil)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, logger, func(p *process) {
				logger.Info("ready", "listen", p.door.Addr(), "admin", p.admin.Addr())
			})
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "YAML file")
	logging.add(cmd, "info")
	return cmd
}

// serve runs a process until ctx ends. started is called once it takes calls.
func serve(ctx context.Context, c *config.Config, logger *slog.Logger, started func(*process)) error {
	if c.Log.Type == config.LogEmbedded {
		return serveEmbedded(ctx, c, log.EmbeddedOptions{Dir: c.Log.Data, Logger: logger}, logger, started)
	}
	limitMemory(c)
	cluster := log.Cluster{Brokers: c.Log.Brokers, Logger: logger}
	if err := secure(&cluster, c.Log); err != nil {
		return err
	}
	return serveOn(ctx, c, cluster, logger, started)
}

// serveEmbedded is serve with a Kafka of its own, which ends last.
func serveEmbedded(ctx context.Context, c *config.Config, options log.EmbeddedOptions, logger *slog.Logger, started func(*process)) error {
	embedded, err := log.StartEmbedded(options)
	if err != nil {
		return err
	}
	defer embedded.Close()
	return serveOn(ctx, c, log.Cluster{Brokers: embedded.Brokers(), Logger: logger}, logger, started)
}

func serveOn(ctx context.Context, c *config.Config, cluster log.Cluster, logger *slog.Logger, started func(*process)) error {
	p, err := newProcess(ctx, c, cluster, logger)
	if err != nil {
		return err
	}
	started(p)
	return p.run(ctx)
}

// secure adds what the configuration says of TLS and users.
func secure(cluster *log.Cluster, c config.Log) error {
	if c.TLS != nil {
		tls, err := c.TLS.Client()
		if err != nil {
			return fmt.Errorf("log.tls.%w", err)
		}
		cluster.TLS = tls
	}
	if c.SASL != nil {
		cluster.SASL = &log.SASL{Mechanism: c.SASL.Mechanism, User: c.SASL.Username, Password: c.SASL.Password.Reveal()}
	}
	return nil
}
