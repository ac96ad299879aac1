package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/coordinators/projector"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/rebuild"
	"github.com/angzarr/angzarr-kafka/log"
)

// projecting is a projector of a process: those of its versions that are to be
// called, and who steers it if this process is the one.
type projecting struct {
	r           *reactors
	given       config.Projector
	answer      int
	conn        logic
	projections log.Projections
	versions    *rebuild.Versions
	steersman   *rebuild.Steersman
	services    map[rebuild.Run]reactor.Service // owned by versions
}

// wireProjectors makes the projectors, and the workers of all domains that are
// named, or there.
func (r *reactors) wireProjectors(ctx context.Context, c *config.Config) error {
	if len(c.Projectors) == 0 {
		return nil
	}
	var err error
	if r.follower, err = rebuild.Follow(ctx, r.p.cluster, r.p.brokers, r.p.log); err != nil {
		return err
	}
	for _, given := range c.Projectors {
		p := &projecting{r: r, given: given, answer: int(c.Limits.Answer), services: make(map[rebuild.Run]reactor.Service)}
		if err := p.wire(ctx); err != nil {
			return fmt.Errorf("projector %s: %w", given.Name, err)
		}
		r.projectors = append(r.projectors, p)
	}
	return nil
}

func (p *projecting) wire(ctx context.Context) (err error) {
	r, name := p.r, p.given.Name
	if p.conn, err = r.p.dialReactor("projector", name, p.given.Address); err != nil {
		return err
	}
	if p.projections, err = r.p.brokers.EnsureProjections(ctx, name, r.settings); err != nil {
		return err
	}
	p.versions, err = rebuild.NewVersions(ctx, rebuild.VersionsConfig{
		Name: name, Follower: r.follower, Worker: p.worker, Domains: p.domains, Logger: r.p.log,
	})
	if err != nil {
		return err
	}
	r.knows(log.SteeringGroup(name))
	p.steersman = rebuild.NewSteersman(rebuild.SteeringConfig{
		Name: name, Cluster: r.p.cluster, Admin: r.p.brokers, Writer: r.p.writer, Follower: r.follower, Member: r.member,
		Domains: p.domains, Conn: p.conn.conn, Projections: p.projections, Metrics: r.rebuilds, Logger: r.p.log,
	})
	return nil
}

// domains are those whose events it gets.
func (p *projecting) domains(ctx context.Context) ([]string, error) {
	if len(p.given.Domains) > 0 {
		return p.given.Domains, nil
	}
	return p.r.p.domains.All(ctx)
}

// worker makes the worker of a version on a domain.
func (p *projecting) worker(ctx context.Context, run rebuild.Run, name string) (rebuild.Worker, error) {
	r := p.r
	domain, err := r.p.brokers.EnsureDomain(ctx, name, r.settings)
	if err != nil {
		return nil, err
	}
	group := log.ProjectorVersionGroup(p.given.Name, name, run.Version)
	synchronous := p.given.Synchronous && !run.Staged // nobody waits for what is not shown yet
	if err := r.p.brokers.Enrol(ctx, r.p.cluster, log.Reader{Group: group, Synchronous: synchronous}, name); err != nil {
		return nil, err
	}
	service, err := p.service(ctx, run)
	if err != nil {
		return nil, err
	}
	r.knows(group)
	title := "projector." + p.given.Name
	if run.Staged {
		title = fmt.Sprintf("%s.v%d", title, run.Version)
	}
	return reactor.NewWorker(reactor.Config{
		Name: title, Group: group, Domain: domain, Cluster: r.p.cluster, Member: r.member,
		Service: service, Metrics: r.metrics, Logger: r.p.log,
		Attempts:    cmp.Or(p.given.Attempts, config.DefaultAttempts),
		Synchronous: synchronous, Replies: r.p.writer,
		Gate: func(ctx context.Context) bool { return r.follower.Gate(ctx, p.given.Name, run) },
	}), nil
}

// service makes what a version's workers call.
func (p *projecting) service(ctx context.Context, run rebuild.Run) (reactor.Service, error) {
	if s := p.services[run]; s != nil {
		return s, nil
	}
	projections := p.projections
	if run.Staged {
		settings := p.r.settings
		settings.Partitions = projections.Partitions // they are exchanged by partition
		var err error
		if projections, err = p.r.p.brokers.EnsureStagedProjections(ctx, p.given.Name, run.Version, settings); err != nil {
			return nil, err
		}
	}
	s := projector.New(projector.Config{
		Name: p.given.Name, Conn: p.conn.conn, Projections: projections, Answer: p.answer,
		Version: run.Version, Staged: run.Staged, Latest: p.latest,
	})
	p.services[run] = s
	return s, nil
}

// latest reads what stands under a root's key.
func (p *projecting) latest(ctx context.Context, topic string, partition int32, root log.Root) (*log.Record, error) {
	return p.r.p.brokers.Latest(ctx, p.r.p.cluster, topic, partition, root[:])
}
