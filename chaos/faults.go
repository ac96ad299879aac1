package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// inject does what the schedule says, each fault at its time, and returns when
// all of them are over and every process runs, or one could not be done. done are
// the words for what was done, in the order in which it was over.
func (r *runner) inject(ctx context.Context, faults []fault) (done []string, err error) {
	begun := time.Now()
	var mu sync.Mutex
	all, ctx := errgroup.WithContext(ctx)
	for _, f := range faults {
		if sleep(ctx, time.Until(begun.Add(f.At))) != nil {
			break
		}
		all.Go(func() error {
			at := time.Since(begun)
			if err := r.suffer(ctx, f); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			said := fmt.Sprintf("%s; began at %.1f s, over at %.1f s", f, at.Seconds(), time.Since(begun).Seconds())
			mu.Lock()
			defer mu.Unlock()
			done = append(done, said)
			r.say("  %s", said)
			return nil
		})
	}
	all.Go(func() error { return sleep(ctx, time.Until(begun.Add(r.o.Duration))) })
	err = all.Wait()
	return done, err
}

// suffer has one fault happen and be over. Faults of one process wait for each
// other.
func (r *runner) suffer(ctx context.Context, f fault) error {
	p := r.fleet.slots[f.Slot]
	switch f.Kind {
	case kill:
		return r.away(ctx, p, syscall.SIGKILL, f.For)
	case restart:
		return r.away(ctx, p, syscall.SIGTERM, f.For)
	case hang:
		return r.silent(ctx, p, f.For)
	case zombie:
		return r.others(p, func(other *process) error { return r.undead(ctx, other, f.For) })
	case scale:
		return r.others(p, func(other *process) error { return r.away(ctx, other, syscall.SIGTERM, f.For) })
	case blackout:
		return r.others(nil, func(other *process) error { return r.away(ctx, other, syscall.SIGKILL, f.For) })
	case broker:
		r.brokerBusy.Lock()
		defer r.brokerBusy.Unlock()
		return r.kafka.restart(ctx)
	case flush:
		return r.redis.flush(ctx)
	case empty:
		return r.redis.lose(ctx, f.For)
	case rewind:
		return r.redis.rewind(ctx, f.For)
	case mute:
		return r.redis.silent(ctx, f.For)
	case unserved:
		return r.stall.away(ctx, f.For)
	case speechless:
		return r.stall.silent(ctx, f.For)
	}
	return fmt.Errorf("there is no fault %q", f.Kind)
}

// silent stops a process and has it go on later.
func (r *runner) silent(ctx context.Context, p *process, d time.Duration) error {
	p.busy.Lock()
	defer p.busy.Unlock()
	if p.cmd == nil {
		return nil // it could not be started again, and so the run ends
	}
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop process %d: %w", p.slot, err)
	}
	// Whatever ends the run, it goes on: who is stopped can't be ended well.
	return errors.Join(sleep(ctx, d), p.cmd.Process.Signal(syscall.SIGCONT))
}

// undead has a process stop itself before its next commit, when all that goes
// into it is decided, and go on later: a program that was built with seams does.
func (r *runner) undead(ctx context.Context, p *process, d time.Duration) error {
	p.busy.Lock()
	defer p.busy.Unlock()
	if p.cmd == nil {
		return nil
	}
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return fmt.Errorf("stop process %d: %w", p.slot, err)
	}
	return errors.Join(sleep(ctx, d), p.cmd.Process.Signal(syscall.SIGCONT))
}

// away ends a process and starts it again later.
func (r *runner) away(ctx context.Context, p *process, signal syscall.Signal, d time.Duration) error {
	p.busy.Lock()
	defer p.busy.Unlock()
	r.fleet.end(p, signal)
	if err := sleep(ctx, d); err != nil {
		return err
	}
	return r.fleet.start(ctx, p)
}

// others does it to all processes but one, at the same time.
func (r *runner) others(but *process, do func(*process) error) error {
	errs := make(chan error, len(r.fleet.slots))
	n := 0
	for _, p := range r.fleet.slots {
		if p != but {
			n++
			go func() { errs <- do(p) }()
		}
	}
	var failed error
	for range n {
		failed = errors.Join(failed, <-errs)
	}
	return failed
}
