package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"google.golang.org/grpc"

	"github.com/angzarr/angzarr-kafka/examples/inventory"
	"github.com/angzarr/angzarr-kafka/examples/inventorysummary"
	"github.com/angzarr/angzarr-kafka/examples/order"
	"github.com/angzarr/angzarr-kafka/examples/orderfulfillment"
)

// service is one of the examples, in whichever language it is.
type service struct {
	address string
	stop    func(*testing.T) // and wants it to end well
}

// language starts an example: inventory, order, order-fulfillment or
// inventory-summary.
type language func(t *testing.T, example string) *service

func inGo(t *testing.T, example string) *service {
	t.Helper()
	server := grpc.NewServer()
	map[string]func(*grpc.Server){
		"inventory": inventory.Register, "order": order.Register,
		"order-fulfillment": orderfulfillment.Register, "inventory-summary": inventorysummary.Register,
	}[example](server)
	address, err := listenAndServe(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return &service{address, func(*testing.T) { server.Stop() }}
}

func inPython(t *testing.T, example string) *service {
	t.Helper()
	python := os.Getenv("ANGZARR_TEST_EXAMPLES_PYTHON")
	if python == "" {
		t.Skip("needs a Python with the examples' packages: set ANGZARR_TEST_EXAMPLES_PYTHON to what examples/python/setup prints")
	}
	module := map[string]string{
		"inventory": "shop.inventory", "order": "shop.order",
		"order-fulfillment": "shop.order_fulfillment", "inventory-summary": "shop.inventory_summary",
	}[example]
	return inProcess(t, filepath.Join("..", "..", "examples", "python"), python, "-m", module)
}

func inRust(t *testing.T, example string) *service {
	t.Helper()
	binaries := os.Getenv("ANGZARR_TEST_EXAMPLES_RUST")
	if binaries == "" {
		t.Skip("needs the examples in Rust, built: cargo build in examples/rust, and ANGZARR_TEST_EXAMPLES_RUST=examples/rust/target/debug, absolute")
	}
	return inProcess(t, "", filepath.Join(binaries, example))
}

func inProcess(t *testing.T, dir, program string, args ...string) *service {
	t.Helper()
	cmd := exec.Command(program, append(args, "--listen", "127.0.0.1:0")...)
	cmd.Dir = dir
	r := startCommand(t, cmd)
	return &service{r.wait(t, `^\S+ answers at (\S+)$`)[1], func(t *testing.T) {
		t.Helper()
		r.stop(t, syscall.SIGTERM)
	}}
}
