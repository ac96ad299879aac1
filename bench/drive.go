package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/angzarr/angzarr-kafka/bench/usage"
)

// drive puts load on a deployment that has been started. It returns with what
// was measured where the events topic began, for the audit.
func (b *bench) drive(ctx context.Context, d *deployment, ledger *ledger) (offsets, Result, error) {
	starting, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := d.ready(starting); err != nil {
		return nil, Result{}, err
	}
	idle := d.usage()
	from, err := endOf(starting, b.admin, topicsOf(d.domain).events)
	if err != nil {
		return nil, Result{}, err
	}
	load, err := b.load(d, ledger, from)
	if err != nil {
		return nil, Result{}, err
	}
	defer load.close()
	if err := load.probe(starting); err != nil {
		return nil, Result{}, err
	}
	result, err := b.window(ctx, d, load)
	result.IdleMiB = usage.MiB(idle.RSS)
	return from, result, err
}

func (b *bench) load(d *deployment, ledger *ledger, from offsets) (load, error) {
	s := sender{
		domain: d.domain, size: b.Size, filler: b.filler, ledger: ledger,
		roots: newRoots(rand.Uint64(), b.Aggregates),
	}
	if b.Topic {
		return newTopicLoad(b.Options, s, from)
	}
	return newCallLoad(b.Options, s, d.front)
}

// window runs the load and reads the processes' usage at both ends of the part
// that counts.
func (b *bench) window(ctx context.Context, d *deployment, load load) (Result, error) {
	start := time.Now()
	w := window{from: start.Add(b.Warmup), to: start.Add(b.Warmup + b.Duration)}
	loading, stop := context.WithDeadline(ctx, w.to.Add(patience))
	defer stop()

	var got latencies
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		got, failed = load.run(loading, w)
	}()
	var ours, own [2]usage.Usage
	for i, at := range []time.Time{w.from, w.to} {
		select {
		case <-time.After(time.Until(at)):
		case <-ended:
			// On a busy machine it may end at the same time.
			if failed != nil || time.Now().Before(at) {
				return Result{}, fmt.Errorf("load ended before its time: %w", cmp.Or(failed, errors.New("it has nothing more to do")))
			}
		}
		ours[i], own[i] = d.usage(), usage.Of(os.Getpid())
	}
	if <-ended; failed != nil {
		return Result{}, failed
	}

	commands := len(got.all) + len(got.slow)
	if commands == 0 {
		return Result{}, fmt.Errorf("no command was answered within %s", b.Duration)
	}
	each := func(u [2]usage.Usage) float64 { return (u[1].CPU - u[0].CPU).Seconds() * 1e6 / float64(commands) }
	return Result{
		Commands:      commands,
		PerSecond:     float64(commands) / b.Duration.Seconds(),
		Latency:       newLatency(got.all),
		Slow:          newLatency(got.slow),
		CPUMicros:     each(ours),
		LoadCPUMicros: each(own),
		RSSMiB:        usage.MiB(ours[1].RSS),
		PeakMiB:       usage.MiB(ours[1].Peak),
	}, nil
}
