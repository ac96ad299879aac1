package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	"github.com/angzarr/angzarr-kafka/examples/order"
	"github.com/angzarr/angzarr-kafka/examples/orderfulfillment"
	"github.com/angzarr/angzarr-kafka/examples/serving"
	"github.com/angzarr/angzarr-kafka/log"
)

const demoHelp = `Show the whole way of commands and events, in this one process and within seconds:
an embedded Kafka, the coordinators and the front door, and the examples as gRPC
services on ports of their own: inventory, orders, the saga between the two, and a
projector. Commands are sent by gRPC calls, and as records that a Kafka client
writes; one kind is refused. Then there are two orders: the saga has the stock of
one reserved; the other one's is short, and it is compensated.

Then the log is read back, and what the front door says of it: the events, the
saga's commands, and the projector's summaries. If any of it is not exactly what the
commands must have led to, the exit status is 1.

--keep leaves everything running until Ctrl-C, for commands of your own.`

// demo is one run of demo.
type demo struct {
	data string
	keep bool
	out  io.Writer

	// beforeCheck lets a test spoil the log before it is read back.
	beforeCheck func(context.Context, *stage) error
}

func newDemoCommand(d *demo) *cobra.Command {
	logging := loggingFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole way of a command, with nothing else installed",
		Long:  demoHelp,
		Example: `  angzarr demo
  angzarr demo --keep --data demo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := logging.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			d.out = cmd.OutOrStdout()
			return d.run(cmd.Context(), logger)
		},
	}
	cmd.Flags().BoolVar(&d.keep, "keep", false, "keep it running until Ctrl-C, and keep the data")
	cmd.Flags().StringVar(&d.data, "data", "", "directory for the data, which is kept (default: a temporary one, removed at the end)")
	logging.add(cmd, "error")
	return cmd
}

// example is a service of the demo, and where the configuration has it.
type example struct {
	list, key, name string
	domains         []any
	register        func(*grpc.Server)

	listener net.Listener
}

func demoExamples() []example {
	return []example{
		{list: "business_logic", key: "domain", name: stockDomain, register: inventory.Register},
		{list: "business_logic", key: "domain", name: orderDomain, register: order.Register},
		{list: "sagas", key: "name", name: demoSaga, domains: []any{orderDomain, stockDomain}, register: orderfulfillment.Register},
		{list: "projectors", key: "name", name: demoProjector, domains: []any{stockDomain}, register: inventorysummary.Register},
	}
}

// listen finds the service a port, and adds it to a configuration.
func (e *example) listen(services map[string]any) (err error) {
	if e.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return fmt.Errorf("a port for %s: %w", e.name, err)
	}
	given := map[string]any{e.key: e.name, "address": e.listener.Addr().String()}
	if e.domains != nil {
		given["domains"] = e.domains
	}
	others, _ := services[e.list].([]any)
	services[e.list] = append(others, given)
	return nil
}

// serveExamples serves them until ctx ends, and closes their listeners.
func serveExamples(ctx context.Context, examples []example) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, e := range examples {
		all.Go(func() error { return serving.Serve(ctx, e.listener, e.register) })
	}
	return all.Wait()
}

// demoPatience is how long all of it may take: it is usually done in a second.
const demoPatience = time.Minute

func (d *demo) run(ctx context.Context, logger *slog.Logger) error {
	data := d.data
	if data == "" {
		dir, err := os.MkdirTemp("", "angzarr-demo-")
		if err != nil {
			return fmt.Errorf("a directory for the data: %w", err)
		}
		data = dir
		if !d.keep {
			defer os.RemoveAll(dir)
		}
	}
	examples := demoExamples()
	services := make(map[string]any)
	for i := range examples {
		e := &examples[i]
		if err := e.listen(services); err != nil {
			return err
		}
		defer e.listener.Close()
	}
	c, err := developmentConfig("127.0.0.1:0", "127.0.0.1:0", data, services)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	all, ctx := errgroup.WithContext(ctx)
	started := make(chan *process, 1)
	all.Go(func() error { return serveExamples(ctx, examples) })
	all.Go(func() error {
		kafka := log.EmbeddedOptions{Dir: data, Addr: "127.0.0.1:0", Logger: logger}
		return serveEmbedded(ctx, c, kafka, logger, func(p *process) { started <- p })
	})
	all.Go(func() error {
		defer stop()
		select {
		case p := <-started:
			return d.tell(ctx, p, data)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err := all.Wait(); err != nil {
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted before the log was checked")
		}
		return err
	}
	return nil
}

// tell plays the demo on a process that runs.
func (d *demo) tell(ctx context.Context, p *process, data string) error {
	where := "in the directory " + data
	if !d.keep && d.data == "" {
		where += ", removed at the end"
	}
	p.whereabouts(d.out, where)
	playing, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	s, err := openStage(playing, p.cluster, p.door.Addr().String(), d.out)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.play(); err != nil {
		return err
	}
	if d.beforeCheck != nil {
		if err := d.beforeCheck(playing, s); err != nil {
			return err
		}
	}
	if err := s.check(); err != nil {
		return err
	}
	if !d.keep {
		fmt.Fprintf(d.out, "\nNext:\n  %s demo --keep    keeps it running, for commands of your own\n", program())
		fmt.Fprintf(d.out, "  %s dev --help     says how to run business logic of your own\n", program())
		return nil
	}
	root := s.products[0].root
	fmt.Fprintf(d.out, "\nAll of it keeps running until Ctrl-C; the data stays in %s. Try, in another terminal:\n", data)
	fmt.Fprintf(d.out, "  %s send inventory %s inventory.ReserveStock '{\"order_id\": \"o-1\", \"quantity\": 4}'%s\n", program(), root, p.serverFlag())
	fmt.Fprintf(d.out, "  %s events inventory %s%s\n", program(), root, p.serverFlag())
	fmt.Fprintf(d.out, "  %s send order %s order.ShipOrder '{}'%s\n", program(), s.orders[0].root, p.serverFlag())
	<-ctx.Done()
	return nil
}
