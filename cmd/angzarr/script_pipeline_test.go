package main

import (
	"context"
	"log/slog"
	"os"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	"github.com/angzarr/angzarr-kafka/examples/order"
	"github.com/angzarr/angzarr-kafka/examples/orderfulfillment"
	"github.com/angzarr/angzarr-kafka/log"
)

// pipeline starts a process with the examples, synchronous, and a Kafka inside.
// $ANGZARR_SERVER is its front door from then on.
func pipeline(ts *testscript.TestScript, _ bool, _ []string) {
	var servers []*grpc.Server
	serve := func(register func(*grpc.Server)) string {
		server := grpc.NewServer()
		register(server)
		servers = append(servers, server)
		address, err := listenAndServe(server)
		ts.Check(err)
		return address
	}
	c, err := developmentConfig("127.0.0.1:0", "127.0.0.1:0", "", map[string]any{
		"business_logic": []any{
			map[string]any{"domain": "inventory", "address": serve(inventory.Register)},
			map[string]any{"domain": "order", "address": serve(order.Register)},
		},
		"projectors": []any{map[string]any{
			"name": "summary", "address": serve(inventorysummary.Register), "domains": []any{"inventory"}, "synchronous": true,
		}},
		"sagas": []any{map[string]any{
			"name": "fulfillment", "address": serve(orderfulfillment.Register), "domains": []any{"order", "inventory"}, "synchronous": true,
		}},
	})
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	all, ctx := errgroup.WithContext(ctx)
	ts.Defer(func() {
		stop()
		if err := all.Wait(); err != nil {
			ts.Logf("the pipeline ended with %v", err)
		}
		for _, s := range servers {
			s.Stop()
		}
	})
	started := make(chan *process, 1)
	all.Go(func() error {
		quiet := slog.New(slog.DiscardHandler)
		return serveEmbedded(ctx, c, log.EmbeddedOptions{Addr: "127.0.0.1:0", Logger: quiet}, quiet, func(p *process) { started <- p })
	})
	select {
	case p := <-started:
		ts.Setenv("ANGZARR_SERVER", p.door.Addr().String())
	case <-ctx.Done():
		ts.Fatalf("the pipeline did not start: %v", all.Wait())
	}
}

// timeless writes what the last command printed to the file "said", without times.
func timeless(ts *testscript.TestScript, _ bool, _ []string) {
	said := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`).ReplaceAllString(ts.ReadFile("stdout")+ts.ReadFile("stderr"), "TIME")
	ts.Check(os.WriteFile(ts.MkAbs("said"), []byte(said), 0o600))
}
