package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/rebuild"
	"github.com/angzarr/angzarr-kafka/coordinators/saga"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"golang.org/x/sync/errgroup"
)

// reactors are the projectors and sagas of a process. Each has a worker, in a
// group of its own, for each of its domains.
type reactors struct {
	p        *process
	settings log.TopicSettings
	member   partitioning.Config
	metrics  *reactor.Metrics

	rebuilds *rebuild.Metrics

	services   []*reacting
	workers    []*reactor.Worker // of the domains that are known at start
	follower   *rebuild.Follower // nil if there are no projectors
	projectors []*projecting

	mu    sync.Mutex
	known []string // the groups of all workers
}

// reacting is a saga.
type reacting struct {
	title    string // "saga.fulfilment"
	group    func(name, domain string) string
	name     string
	all      bool            // it gets the events of all domains, of later ones too
	domains  map[string]bool // those that it has a worker for
	service  reactor.Service
	attempts int
	sync     bool // answers to synchronous commands wait for it
}

// wire makes the workers of all domains that are named, or there.
func (r *reactors) wire(ctx context.Context, c *config.Config) error {
	if err := r.wireProjectors(ctx, c); err != nil {
		return err
	}
	for _, given := range c.Sagas {
		l, err := r.p.dialReactor("saga", given.Name, given.Address)
		if err != nil {
			return err
		}
		service := &reacting{
			title: "saga." + given.Name, group: log.SagaGroup, name: given.Name,
			service: saga.New(saga.Config{
				Name: given.Name, Conn: l.conn, Domains: r.p.domains,
				EventTypes: given.EventTypes, Answer: int(c.Limits.Answer), Synchronous: given.Synchronous,
			}),
			attempts: cmp.Or(given.Attempts, config.DefaultAttempts), sync: given.Synchronous,
		}
		if err := r.serve(ctx, service, given.Domains); err != nil {
			return fmt.Errorf("saga %s: %w", given.Name, err)
		}
	}
	return nil
}

// serve makes a service's workers.
func (r *reactors) serve(ctx context.Context, s *reacting, domains []string) error {
	s.domains = make(map[string]bool)
	r.services = append(r.services, s)
	if len(domains) == 0 {
		s.all = true
		var err error
		if domains, err = r.p.domains.All(ctx); err != nil {
			return err
		}
	}
	for _, domain := range domains {
		w, err := r.worker(ctx, s, domain)
		if err != nil {
			return err
		}
		r.workers = append(r.workers, w)
	}
	return nil
}

func (r *reactors) worker(ctx context.Context, s *reacting, name string) (*reactor.Worker, error) {
	domain, err := r.p.brokers.EnsureDomain(ctx, name, r.settings)
	if err != nil {
		return nil, err
	}
	group := s.group(s.name, name)
	if err := r.p.brokers.Enrol(ctx, r.p.cluster, log.Reader{Group: group, Synchronous: s.sync}, name); err != nil {
		return nil, err
	}
	s.domains[name] = true
	r.knows(group)
	return reactor.NewWorker(reactor.Config{
		Name: s.title, Group: group, Domain: domain, Cluster: r.p.cluster, Member: r.member,
		Service: s.service, Metrics: r.metrics, Logger: r.p.log,
		Attempts: s.attempts, Synchronous: s.sync, Replies: r.p.writer,
	}), nil
}

// knows remembers a group, of which this process has a worker.
func (r *reactors) knows(group string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.known, group) {
		r.known = append(r.known, group)
	}
}

// groups are those of which this process has, or had, workers.
func (r *reactors) groups() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.known)
}

// run runs the workers until ctx ends, or one of them can't go on.
func (r *reactors) run(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, w := range r.workers {
		all.Go(func() error { return w.Run(ctx) })
	}
	if r.follower != nil {
		all.Go(func() error { r.follower.Run(ctx); return nil })
	}
	for _, p := range r.projectors {
		all.Go(func() error { return p.versions.Run(ctx) })
		all.Go(func() error { return p.steersman.Run(ctx) })
	}
	all.Go(func() error {
		again := time.NewTicker(lookForDomains)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-again.C:
			}
			for _, w := range r.later(ctx) {
				all.Go(func() error { return w.Run(ctx) })
			}
		}
	})
	return all.Wait()
}

// lookForDomains is how soon a service of all domains gets the events of a new one.
const lookForDomains = 2 * time.Second

// later makes the workers of domains that have come since.
func (r *reactors) later(ctx context.Context) (made []*reactor.Worker) {
	for _, s := range r.services {
		if !s.all {
			continue
		}
		domains, err := r.p.domains.All(ctx)
		if err != nil {
			return made // it is tried again
		}
		for _, domain := range domains {
			if s.domains[domain] {
				continue
			}
			w, err := r.worker(ctx, s, domain)
			if err != nil {
				if ctx.Err() == nil {
					r.p.log.Error("a new domain's events can't be read; trying again", "service", s.title, "domain", domain, "error", err)
				}
				continue
			}
			r.p.log.Info("there is a new domain", "service", s.title, "domain", domain)
			made = append(made, w)
		}
	}
	return made
}
