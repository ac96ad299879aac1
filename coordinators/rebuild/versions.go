package rebuild

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Worker is a member of a version's group on one domain. Run works until ctx ends,
// or it can't go on.
type Worker interface {
	Run(ctx context.Context) error
}

// VersionsConfig is what is needed to run a projector's versions.
type VersionsConfig struct {
	Name     string
	Follower *Follower
	// Worker makes the worker of a version on a domain, and the topics and the
	// group that it needs.
	Worker func(ctx context.Context, run Run, domain string) (Worker, error)
	// Domains gives those whose events the projector gets, later ones too.
	Domains func(context.Context) ([]string, error)
	Logger  *slog.Logger
}

// Versions runs those versions of a projector that are to be called, in this
// process.
type Versions struct {
	c   VersionsConfig
	log *slog.Logger
	// crews are owned by New, and then by Run.
	crews map[Run]*crew
}

// crew are the workers of one version.
type crew struct {
	workers map[string]Worker // by domain
	begun   map[string]bool
	ctx     context.Context // set once it runs
	stop    context.CancelFunc
	all     sync.WaitGroup
}

// NewVersions makes the workers that are to run now.
func NewVersions(ctx context.Context, c VersionsConfig) (*Versions, error) {
	v := &Versions{c: c, log: c.Logger.With("projector", c.Name), crews: make(map[Run]*crew)}
	return v, v.make(ctx, Runs(c.Follower.State(c.Name)))
}

// make makes the workers of versions that are not there yet.
func (v *Versions) make(ctx context.Context, runs []Run) error {
	if len(runs) == 0 {
		return nil
	}
	domains, err := v.c.Domains(ctx)
	if err != nil {
		return err
	}
	for _, run := range runs {
		if v.crews[run] == nil {
			v.crews[run] = &crew{workers: make(map[string]Worker), begun: make(map[string]bool)}
		}
		for _, domain := range domains {
			if v.crews[run].workers[domain] != nil {
				continue
			}
			w, err := v.c.Worker(ctx, run, domain)
			if err != nil {
				return fmt.Errorf("version %d: %w", run.Version, err)
			}
			v.crews[run].workers[domain] = w
		}
	}
	return nil
}

// lookForDomains is how soon a projector gets the events of a new domain.
const lookForDomains = 2 * time.Second

// Run runs the versions until ctx ends, or a worker can't go on. All that it
// started has ended by then.
func (v *Versions) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	defer func() {
		for run := range v.crews {
			v.end(run)
		}
	}()
	for ctx.Err() == nil {
		changed := v.c.Follower.Changed()
		wanted := Runs(v.c.Follower.State(v.c.Name))
		for run := range v.crews {
			if !slices.Contains(wanted, run) {
				v.log.Info("a version of a projector stops", "version", run.Version)
				v.end(run)
			}
		}
		if err := v.make(ctx, wanted); err != nil && ctx.Err() == nil {
			v.log.Error("a projector's events can't be read; trying again", "error", err)
		}
		for run, c := range v.crews {
			v.begin(ctx, run, c, failed)
		}
		again := time.NewTimer(lookForDomains)
		select {
		case <-ctx.Done():
		case err := <-failed:
			again.Stop()
			return err
		case <-changed:
		case <-again.C:
		}
		again.Stop()
	}
	return nil
}

// begin runs the workers that don't run yet.
func (v *Versions) begin(ctx context.Context, run Run, c *crew, failed chan<- error) {
	if c.ctx == nil {
		c.ctx, c.stop = context.WithCancel(ctx)
	}
	for domain, w := range c.workers {
		if c.begun[domain] {
			continue
		}
		c.begun[domain] = true
		v.log.Debug("a version of a projector begins", "version", run.Version, "domain", domain)
		c.all.Go(func() {
			err := w.Run(c.ctx)
			// The group of a version that has stopped may be gone by now.
			if err != nil && v.c.Follower.Gate(c.ctx, v.c.Name, run) {
				select {
				case failed <- err:
				default: // another one was first
				}
			}
		})
	}
}

// end has a version's workers leave their groups, and waits for that.
func (v *Versions) end(run Run) {
	c := v.crews[run]
	delete(v.crews, run)
	if c.stop != nil {
		c.stop()
		c.all.Wait()
	}
}
