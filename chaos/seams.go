package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// trial is a short run with a rule switched off, under faults that are aimed at
// what the rule prevents.
type trial struct {
	off   string // the rule, as internal/seam names it; none if all hold
	deck  []kind
	lasts time.Duration

	market bool // with the examples' load
	alone  bool // and without the run's own
}

// trials begin with one of a program in which all rules hold: its faults alone
// find nothing.
var trials = []trial{
	{deck: []kind{zombie}, lasts: 13 * time.Second, market: true},
	// Clients repeat commands without any fault.
	{off: "ids", lasts: 5 * time.Second},
	// An owner dies with commits under way, and the next one reads too little.
	{off: "end", deck: []kind{kill}, lasts: 12 * time.Second},
	// Owners that are about to commit fall silent, and go on when others own
	// what they did.
	{off: "fence", deck: []kind{zombie}, lasts: 13 * time.Second},
	// Who sends a saga's commands dies before it remembers that.
	{off: "offset", deck: []kind{kill, blackout}, lasts: 8 * time.Second, market: true, alone: true},
}

// attempts is how many runs a trial gets until one of them shows what is wrong:
// what faults meet is not the seed's to say.
const attempts = 5

// Seams runs the deployment with one rule switched off after the other, or only
// that one, each so many times, and says which of them nobody noticed. None of
// their faults is the broker's, so one is enough for all.
func Seams(ctx context.Context, o Options, only string, times int) error {
	dir, err := os.MkdirTemp("", "angzarr-chaos-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.program = filepath.Join(dir, "angzarr")
	if err := build(ctx, o.Root, o.program, "-tags", "chaos_seams"); err != nil {
		return err
	}
	if len(o.Brokers) == 0 {
		own := kafka{o.Root, o.KafkaPort}
		defer own.down() //nolint:errcheck // what was to be said has been
		if err := own.up(ctx, false); err != nil {
			return err
		}
		o.Brokers = []string{own.address()}
	}
	var failed error
	for i := range trials {
		o.trial = &trials[i]
		if only != "" && o.trial.off != only {
			continue
		}
		for range times {
			failed = errors.Join(failed, o.try(ctx))
			o.Seed += attempts
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

// try runs a trial until it shows what is wrong. One with all rules must not.
func (o Options) try(ctx context.Context) error {
	out := o.Out
	for n := 1; n <= attempts; n++ {
		var said bytes.Buffer
		o.Out = &said
		begun := time.Now()
		err := Run(ctx, o)
		took := time.Since(begun).Round(time.Second)
		switch {
		case err != nil && (o.trial.off == "" || !errors.Is(err, ErrWrong)):
			return fmt.Errorf("%s: %w\n%s", o.trial, err, &said)
		case o.trial.off == "":
			fmt.Fprintf(out, "%s: nothing is wrong after %v, with seed %d\n", o.trial, took, o.Seed)
			return nil
		case err != nil:
			fmt.Fprintf(out, "%s: noticed in run %d after %v, with seed %d\n%s\n", o.trial, n, took, o.Seed, firstFindings(said.String()))
			return nil
		}
		fmt.Fprintf(out, "%s: not noticed in run %d, after %v, with seed %d\n", o.trial, n, took, o.Seed)
		o.Seed++
	}
	return fmt.Errorf("%s: nobody noticed in %d runs", o.trial, attempts)
}

func (t *trial) String() string {
	if t.off == "" {
		return "with all rules"
	}
	return fmt.Sprintf("without %q", t.off)
}
