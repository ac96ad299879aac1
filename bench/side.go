package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/angzarr/angzarr-kafka/bench/usage"
)

// deployment is what one run measures: a domain of its own, and who serves it.
type deployment struct {
	side   string
	domain string
	front  string // where calls go
	logic  string
	folder string // for the child's configuration
	child  *child // nil if it was there already
}

// bareConfig is the whole of the bare worker's configuration file.
func (d *deployment) bareConfig(o Options) ([]byte, error) {
	return json.Marshal(BareOptions{
		Brokers: o.Brokers, Domain: d.domain, Listen: d.front, Logic: d.logic,
		Topic: o.Topic, Workers: o.Workers, Calls: o.Calls,
	})
}

// serveConfig is written as JSON, which is YAML too.
func (d *deployment) serveConfig(o Options, admin string) ([]byte, error) {
	type object = map[string]any
	shelf := object{"type": "memory"}
	if o.Redis != "" {
		shelf = object{"type": "redis", "address": o.Redis}
	}
	return json.Marshal(object{
		"listen": d.front,
		"admin":  admin,
		"log": object{
			"type": "kafka", "brokers": o.Brokers,
			"partitions": o.Partitions, "replication_factor": o.Replication,
		},
		"snapshots":      shelf,
		"limits":         object{"books": "64MiB"},
		"business_logic": []object{{"domain": d.domain, "address": d.logic}},
	})
}

// start starts the side's process; died is told when it has ended.
func (d *deployment) start(o Options, died func(error)) error {
	addresses, err := freeAddresses(2)
	if err != nil {
		return err
	}
	d.front = addresses[0]
	command, config := []string{"bench", "bare-worker"}, []byte(nil)
	if d.side == SideOurs {
		command = []string{"serve"}
		config, err = d.serveConfig(o, addresses[1])
	} else {
		config, err = d.bareConfig(o)
	}
	if err != nil {
		return err
	}
	file := filepath.Join(d.folder, d.domain+".yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	d.child, err = start(o.Child, died, o.Binary, append(command, "--config", file)...)
	return err
}

// stop ends the side's process, where it is ours to end.
func (d *deployment) stop() error {
	if d.child == nil {
		return nil
	}
	return d.child.stop()
}

// usage of the side's process, where it is on this machine.
func (d *deployment) usage() usage.Usage {
	if d.child == nil {
		return usage.Usage{}
	}
	return usage.Of(d.child.command.Process.Pid)
}

// ready waits until the front door answers that it serves.
func (d *deployment) ready(ctx context.Context) error {
	connection, err := grpc.NewClient(d.front, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	client := grpc_health_v1.NewHealthClient(connection)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		response, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil && response.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", d.front, context.Cause(ctx))
		}
	}
}

// freeAddresses are n on loopback that nobody listens on.
func freeAddresses(n int) ([]string, error) {
	addresses := make([]string, n)
	for i := range addresses {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		addresses[i] = listener.Addr().String()
	}
	return addresses, nil
}
