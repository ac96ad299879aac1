package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/log"
)

const devHelp = `Run everything in one process, for business logic that you are writing.

Business logic is a gRPC service in any language that serves
angzarr.BusinessLogic. It may come later, restart, and change: commands wait for
it. With server reflection on it, send and events speak JSON in its types.

Inside is a Kafka at which any Kafka client can look. It is for development: one
copy of the data, no authentication. The data stays in --data over restarts;
delete that directory to begin anew.`

const devExample = `  angzarr dev --logic inventory=localhost:50051
  angzarr dev --logic order=localhost:50051 --logic inventory=localhost:50052 --data ''`

// dev is one run of dev.
type dev struct {
	logic         []string // DOMAIN=HOST:PORT
	projectors    []string // NAME=HOST:PORT
	sagas         []string // NAME=HOST:PORT
	listen, admin string
	kafka, data   string
	out           io.Writer
}

func newDevCommand() *cobra.Command {
	d := &dev{}
	logging := loggingFlags{}
	cmd := &cobra.Command{
		Use:     "dev --logic DOMAIN=HOST:PORT",
		Short:   "Run everything in one process, Kafka included, for logic of your own",
		Long:    devHelp,
		Example: devExample,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := logging.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			c, err := d.config()
			if err != nil {
				return usageError{err}
			}
			d.out = cmd.OutOrStdout()
			return d.run(cmd.Context(), c, logger)
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&d.logic, "logic", nil, "a domain and where its business logic answers, DOMAIN=HOST:PORT (repeatable)")
	flags.StringArrayVar(&d.projectors, "projector", nil, "a projector of all domains' events and where it answers, NAME=HOST:PORT (repeatable)")
	flags.StringArrayVar(&d.sagas, "saga", nil, "a saga of all domains' events and where it answers, NAME=HOST:PORT (repeatable)")
	flags.StringVar(&d.listen, "listen", defaultServer, "host:port of the front door")
	flags.StringVar(&d.admin, "admin", "127.0.0.1:50060", "host:port of health and metrics")
	flags.StringVar(&d.kafka, "kafka", "127.0.0.1:9092", "host:port of the embedded Kafka")
	flags.StringVar(&d.data, "data", "data", "directory of the embedded Kafka; '' keeps all in memory")
	logging.add(cmd, "warn")
	return cmd
}

// config says as a configuration what the flags say. Its errors name flags.
func (d *dev) config() (*config.Config, error) {
	if len(d.logic) == 0 {
		return nil, errors.New("--logic is missing: want DOMAIN=HOST:PORT, such as --logic inventory=localhost:50051")
	}
	names := []string{"listen: ", "--listen: ", "admin: ", "--admin: "}
	services := make(map[string]any)
	for _, list := range []struct {
		key, flag, name, like string
		given                 []string
	}{
		{"business_logic", "--logic", "domain", "inventory", d.logic},
		{"projectors", "--projector", "name", "summary", d.projectors},
		{"sagas", "--saga", "name", "fulfillment", d.sagas},
	} {
		var all []any
		for i, given := range list.given {
			name, address, ok := strings.Cut(given, "=")
			if !ok {
				return nil, fmt.Errorf("%s %s: want %s=HOST:PORT, such as %s=localhost:50051", list.flag, given, strings.ToUpper(list.name), list.like)
			}
			service := map[string]any{list.name: name, "address": address}
			if list.key != "business_logic" {
				service["synchronous"] = true // for whom asks for it
			}
			all = append(all, service)
			for _, key := range []string{list.name, "address"} {
				names = append(names, fmt.Sprintf("%s[%d].%s", list.key, i, key), list.flag+" "+given)
			}
		}
		if all != nil {
			services[list.key] = all
		}
	}
	c, err := developmentConfig(d.listen, d.admin, d.data, services)
	if err != nil {
		return nil, errors.New(strings.NewReplacer(names...).Replace(err.Error()))
	}
	return c, nil
}

// developmentConfig is for one process with an embedded Kafka. Four partitions
// are enough to see that there are several.
func developmentConfig(listen, admin, data string, services map[string]any) (*config.Config, error) {
	all := map[string]any{
		"listen": listen, "admin": admin,
		"log.type": config.LogEmbedded, "log.partitions": 4, "log.data": data,
	}
	maps.Copy(all, services)
	return config.Load("", nil, all)
}

func (d *dev) run(ctx context.Context, c *config.Config, logger *slog.Logger) error {
	kafka := log.EmbeddedOptions{Dir: d.data, Addr: d.kafka, Logger: logger}
	err := serveEmbedded(ctx, c, kafka, logger, func(p *process) {
		d.print(p)
		p.onLogic = d.sayLogic()
	})
	if err != nil {
		return flagged(err)
	}
	fmt.Fprintf(d.out, "Stopped. %s\n", d.whatStays())
	return nil
}

// sayLogic makes what says when a service comes and goes.
func (d *dev) sayLogic() func(logic, bool) {
	var mu sync.Mutex
	since := make(map[string]string)
	return func(l logic, there bool) {
		mu.Lock()
		defer mu.Unlock()
		if there {
			since[l.title] = "any more"
			fmt.Fprintf(d.out, "The %s answers at %s.\n", l.title, l.address)
			return
		}
		fmt.Fprintf(d.out, "Nothing answers at %s %s: %s wait for it.\n", l.address, cmp.Or(since[l.title], "yet"), l.waits)
	}
}

// flagged has an error speak of the flag that was given instead of a
// configuration's key.
func flagged(err error) error {
	for key, flag := range map[string]string{
		"listen:": "--listen:", "admin:": "--admin:",
		"embedded Kafka: address": "--kafka: address", "embedded Kafka: data directory": "--data: directory",
	} {
		if rest, ok := strings.CutPrefix(err.Error(), key); ok {
			return errors.New(flag + rest)
		}
	}
	return err
}

func (d *dev) whatStays() string {
	if d.data == "" {
		return "The data was in memory only, and is gone."
	}
	return "The data stays in " + d.data + "."
}

// print says what is where, and what to try.
func (d *dev) print(p *process) {
	data := "in the directory " + d.data + ": stays; delete it to begin anew"
	if d.data == "" {
		data = "in memory only"
	}
	p.whereabouts(d.out, data)
	try := p.logics[0].domain
	root, err := uuid.NewV7()
	if err != nil {
		return // no randomness: examples are not what will be missed
	}
	command := "YOUR.COMMAND '{}'"
	if try == "inventory" {
		command = `inventory.CreateProduct '{"sku": "A-1", "name": "Lamp", "quantity": 5}'`
	}
	fmt.Fprintf(d.out, "\nTry, in another terminal (Ctrl-C ends this one):\n")
	fmt.Fprintf(d.out, "  %s send %s %s %s%s\n", program(), try, root, command, p.serverFlag())
	fmt.Fprintf(d.out, "  %s events %s %s%s\n\n", program(), try, root, p.serverFlag())
}
