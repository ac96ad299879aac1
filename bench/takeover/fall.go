package takeover

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/angzarr/angzarr-kafka/partitioning"
)

const (
	// sessionTimeout is how long a group waits for a member that keeps silent.
	sessionTimeout = 6 * time.Second
	// inBetween is how many calls must be answered before the next thing is done.
	inBetween = 200
)

// underLoad runs f with two processes, which are stopped then. The load calls the
// doors of all but the first so many.
func (w *world) underLoad(ctx context.Context, s setting, spared int, f func(*fleet, *load) error) error {
	d, err := w.largeOne(ctx)
	if err != nil {
		return err
	}
	fleet, err := w.fleet(ctx, d, 2, s)
	if err != nil {
		return err
	}
	defer fleet.end()
	l := d.load(ctx, loadCallers, w.Rate, fleet.all[spared:]...)
	defer l.stop()
	if err := f(fleet, l); err != nil {
		return err
	}
	l.stop()
	return fleet.term(ctx)
}

// ready waits until all is calm.
func (f *fleet) ready(ctx context.Context, l *load) error {
	if err := f.settled(ctx); err != nil {
		return err
	}
	return l.more(ctx, inBetween)
}

// wake lets a process go on that hung.
func wake(_ context.Context, p *process) error {
	p.signal(syscall.SIGCONT)
	return nil
}

// restart starts a process again that was killed.
func (f *fleet) restart(ctx context.Context, p *process) error {
	<-p.ended
	return f.start(ctx, p)
}

// fall has one process after another fall silent, and gives how long each of their
// partitions was without an answer. back brings a process back.
func (f *fleet) fall(ctx context.Context, l *load, victims []*process, silence func(*process) time.Time, back func(context.Context, *process) error) (dark times, err error) {
	for n, victim := range victims {
		if err := f.ready(ctx, l); err != nil {
			return nil, err
		}
		partitions, err := f.of(ctx, victim)
		if err != nil {
			return nil, err
		}
		answered, err := f.d.probe(ctx, silence(victim), partitions, f.other(victim))
		if err != nil {
			return nil, err
		}
		f.w.Log.Info("took over", "number", n+1, "partitions", len(partitions), "worst", answered.worst().Round(time.Millisecond))
		dark = append(dark, answered...)
		if err := back(ctx, victim); err != nil {
			return nil, err
		}
	}
	return dark, f.ready(ctx, l)
}

// inTurn are so many processes, one after another.
func (f *fleet) inTurn(many int) (victims []*process) {
	for n := range many {
		victims = append(victims, f.all[n%len(f.all)])
	}
	return victims
}

// kill kills one of two processes under load, again and again.
func (w *world) kill(ctx context.Context) error {
	return w.underLoad(ctx, setting{peers: true, redis: true}, 0, func(f *fleet, l *load) error {
		dark, err := f.fall(ctx, l, f.inTurn(w.Takeovers), (*process).kill, f.restart)
		if err != nil {
			return err
		}
		const section = "kill"
		w.report.atMost(section, fmt.Sprintf("kill -9, one of two: a partition answers after, p50 of %d", len(dark)), dark.p50(), time.Second)
		w.report.atMost(section, fmt.Sprintf("worst of %d takeovers", w.Takeovers), dark.worst(), 2500*time.Millisecond)
		w.report.failed(section, l.cut())
		return nil
	})
}

// stop stops one of two processes under load, again and again.
func (w *world) stop(ctx context.Context) error {
	return w.underLoad(ctx, setting{peers: true, redis: true}, 0, func(f *fleet, l *load) error {
		var stops, starts stretch
		for n, p := range f.inTurn(w.Takeovers) {
			if err := f.ready(ctx, l); err != nil {
				return err
			}
			starts.add(l.cut())
			err := p.term(ctx)
			if err == nil {
				err = l.more(ctx, inBetween)
			}
			if err != nil {
				return err
			}
			s := l.cut()
			w.Log.Info("stopped", "number", n+1, "worst", s.worst.Round(time.Millisecond))
			stops.add(s)
			if err := f.start(ctx, p); err != nil {
				return err
			}
		}
		if err := f.ready(ctx, l); err != nil {
			return err
		}
		starts.add(l.cut())
		const section = "stop"
		w.report.atMost(section, fmt.Sprintf("SIGTERM, one of two: worst call of %d stops", w.Takeovers), stops.worst, time.Second)
		w.report.failed(section, stops)
		w.report.note(section, "worst call while a process joins, and before", seconds(starts.worst))
		w.report.failed(section, starts)
		return nil
	})
}

// restart kills all processes under load, and starts them again.
func (w *world) restart(ctx context.Context) error {
	return w.underLoad(ctx, setting{peers: true, redis: true}, 0, func(f *fleet, l *load) error {
		var dark times
		for n := range w.Repeats {
			if err := f.ready(ctx, l); err != nil {
				return err
			}
			up, before, err := f.again(ctx)
			if err != nil {
				return err
			}
			answered, err := f.d.probe(ctx, up, f.d.all(), f.all...)
			if err != nil {
				return err
			}
			w.Log.Info("came back", "number", n+1, "worst", answered.worst().Round(time.Millisecond))
			dark = append(dark, answered...)
			for _, p := range f.all {
				if err := f.meet(ctx, p, before); err != nil {
					return err
				}
			}
		}
		const section = "restart"
		w.report.atMost(section, fmt.Sprintf("kill -9 of all, started again %d times: worst partition answers after a process is up", w.Repeats), dark.worst(), 2*time.Second)
		w.report.note(section, fmt.Sprintf("p50 of %d partitions", len(dark)), seconds(dark.p50()))
		w.report.failed(section, l.cut())
		return nil
	})
}

// again kills all processes and starts them again at the same time. It gives when
// the first of them was up, and who were members before.
func (f *fleet) again(ctx context.Context) (up time.Time, before []partitioning.Membership, err error) {
	for _, p := range f.all {
		p.kill()
	}
	if before, err = f.members(ctx); err != nil {
		return up, nil, err
	}
	var starting errgroup.Group
	for _, p := range f.all {
		<-p.ended
		starting.Go(func() error { return p.start(ctx) })
	}
	if err := starting.Wait(); err != nil {
		return up, nil, err
	}
	first := slices.MinFunc(f.all, func(a, b *process) int { return a.up.Compare(b.up) })
	return first.up, before, nil
}

// hang stops a process without ending it, and kills one whose peers hear nothing
// of it: the group has to notice by itself.
func (w *world) hang(ctx context.Context) error {
	const section = "hang"
	goal := sessionTimeout + time.Second
	for _, peers := range []bool{true, false} {
		how := map[bool]string{true: "peers on", false: "peers off"}[peers]
		err := w.underLoad(ctx, setting{peers: peers, redis: true}, 1, func(f *fleet, l *load) error {
			victims := slices.Repeat(f.all[:1], w.Repeats)
			dark, err := f.fall(ctx, l, victims, (*process).hang, wake)
			if err != nil {
				return err
			}
			w.report.atMost(section, fmt.Sprintf("SIGSTOP, %s: worst partition answers after (%d times)", how, w.Repeats), dark.worst(), goal)
			if !peers {
				if dark, err = f.fall(ctx, l, victims, (*process).kill, f.restart); err != nil {
					return err
				}
				w.report.atMost(section, fmt.Sprintf("kill -9, %s: worst partition answers after (%d times)", how, w.Repeats), dark.worst(), goal)
			}
			w.report.failed(section, l.cut())
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
