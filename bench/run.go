package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/angzarr/angzarr-kafka/log"
)

// patience bounds how long a deployment may take until it serves, what is under
// way at the end of a run, and the audit.
const patience = 60 * time.Second

// Run measures what o says: side after side, run after run. The first run that
// fails, or whose log is not what was acknowledged, ends it with an error.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	report := newReport(o)
	if len(o.Brokers) == 0 {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return nil, fmt.Errorf("start the embedded broker: %w", err)
		}
		defer cluster.Close()
		o.Brokers, o.Replication = cluster.ListenAddrs(), 1
	}
	folder, err := os.MkdirTemp("", "angzarr-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	client, err := kgo.NewClient(clientOptions(o.Brokers)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	b := &bench{
		Options: o, client: client, admin: kadm.NewClient(client), folder: folder,
		id: uuid.NewString()[:8], filler: newFiller(),
		logic: &logic{delay: o.LogicDelay, slow: o.SlowRoot, snapshotEvery: o.SnapshotEvery},
	}
	for number := range o.Runs {
		for _, side := range b.sides() {
			result, err := b.measure(ctx, side, number+1)
			if err != nil {
				return nil, fmt.Errorf("%s, run %d: %w", side, number+1, err)
			}
			o.Log.Info("run", "side", side, "number", number+1, "per_second", int(result.PerSecond),
				"p50_ms", math.Round(result.Latency.P50*100)/100, "p99_ms", math.Round(result.Latency.P99*100)/100)
			report.add(side, result)
		}
	}
	report.summarize()
	return report, nil
}

// bench is what all runs have in common.
type bench struct {
	Options
	client *kgo.Client
	admin  *kadm.Client
	folder string
	id     string
	filler filler
	logic  *logic
}

func (b *bench) sides() []string {
	if b.Sides == SideBoth {
		return []string{SideOurs, SideBare}
	}
	return []string{b.Sides}
}

// measure is one run of one side, in a domain of its own.
func (b *bench) measure(ctx context.Context, side string, number int) (result Result, err error) {
	listen := net.JoinHostPort("127.0.0.1", "0")
	d := &deployment{side: side, domain: "bench-" + b.id + "-" + side + "-" + strconv.Itoa(number), folder: b.folder, front: b.Target}
	if b.Target != "" {
		d.domain, listen = b.Domain, b.LogicListen
	}
	address, stopLogic, err := b.logic.serve(listen)
	if err != nil {
		return Result{}, err
	}
	defer stopLogic()
	d.logic = address

	// The child's end is the end of what is driven, not of what comes after.
	driving, died := context.WithCancelCause(ctx)
	defer died(nil)
	if b.Target == "" {
		defer func() { err = errors.Join(err, deleteTopics(context.WithoutCancel(ctx), b.admin, d.domain)) }()
		if side == SideBare {
			settings := log.TopicSettings{Partitions: b.Partitions, ReplicationFactor: b.Replication}
			if _, err := log.EnsureDomain(ctx, b.client, d.domain, settings); err != nil {
				return Result{}, err
			}
		}
		if err := d.start(b.Options, died); err != nil {
			return Result{}, err
		}
	}
	ledger := &ledger{}
	from, result, err := b.drive(driving, d, ledger)
	if err != nil && driving.Err() != nil {
		err = context.Cause(driving) // why it was cut short says more
	}
	if err := errors.Join(err, d.stop()); err != nil {
		return Result{}, err
	}
	auditing, stop := context.WithTimeout(ctx, patience)
	defer stop()
	return result, audit(auditing, b.Brokers, d.domain, from, ledger, side == SideOurs)
}
