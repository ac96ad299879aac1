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

// seams are the rules that can be switched off, and the faults under which that
// must show.
var seams = map[string]struct {
	deck    []kind
	lasts   time.Duration
	slowest time.Duration // decisions under way when the fault comes
}{
	// Owners that went silent with decisions under way come back and commit.
	"fence": {[]kind{stall}, 40 * time.Second, 200 * time.Millisecond},
	// An owner dies with commits under way, and the next one reads too little.
	"end": {[]kind{kill}, 12 * time.Second, 30 * time.Millisecond},
	// Clients repeat commands without any fault.
	"ids": {nil, 6 * time.Second, 30 * time.Millisecond},
}

// attempts is how many runs a seam gets until one of them shows it: what faults
// meet is not the seed's to say.
const attempts = 5

// Seams runs the deployment with one rule switched off after the other, and says
// which of them nobody noticed. None of their faults is the broker's, so one is
// enough for all.
func Seams(ctx context.Context, o Options) error {
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
	var unnoticed error
	for _, seam := range []string{"ids", "end", "fence"} {
		if err := withSeam(ctx, o, seam); err != nil {
			unnoticed = errors.Join(unnoticed, err)
		}
	}
	return unnoticed
}

func withSeam(ctx context.Context, o Options, seam string) error {
	out := o.Out
	o.seam, o.Duration = seam, seams[seam].lasts
	for range attempts {
		var said bytes.Buffer
		o.Out = &said
		begun := time.Now()
		switch err := Run(ctx, o); {
		case errors.Is(err, ErrWrong):
			fmt.Fprintf(out, "without %q: noticed after %v, with seed %d\n%s\n", seam, time.Since(begun).Round(time.Second), o.Seed, firstFindings(said.String()))
			return nil
		case err != nil:
			return fmt.Errorf("without %q: %w\n%s", seam, err, &said)
		}
		fmt.Fprintf(out, "without %q: not noticed with seed %d\n", seam, o.Seed)
		o.Seed++
	}
	return fmt.Errorf("without %q: nobody noticed in %d runs", seam, attempts)
}

func seamText(seam string) string {
	if seam == "" {
		return ""
	}
	return ", without " + seam
}
