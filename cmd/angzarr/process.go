package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/coordinators/deadletter"
	"github.com/angzarr/angzarr-kafka/coordinators/erasure"
	"github.com/angzarr/angzarr-kafka/coordinators/query"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/rebuild"
	"github.com/angzarr/angzarr-kafka/coordinators/sequel"
	"github.com/angzarr/angzarr-kafka/frontdoor"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/schema"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// process is what one angzarr process runs: workers, the front door, the peers'
// door and the admin port. All wiring is here.
type process struct {
	log     *slog.Logger
	cluster log.Cluster
	brokers *log.Admin
	writer  *log.Writer

	workers map[string]*business.Worker
	domains *frontdoor.Domains
	reacts  *reactors
	limits  map[string]int32 // max.message.bytes of their commands topics
	logics  []logic
	topic   *frontdoor.Topic
	peers   *frontdoor.Peers // nil where peers are off
	watch   *frontdoor.Watch // nil where peers are off
	depths  []*deadletter.Depth
	queries *query.Service
	readers *sequel.Readers
	shelf   *snapshots.Shelf // nil for snapshots.type: memory

	door     net.Listener
	peerDoor net.Listener // nil where peers are off
	admin    *adminServer
	served   []served
	health   *health.Server
	closers  []func()

	// onLogic is told when a service that people write comes and goes; it may be
	// replaced before run.
	onLogic func(l logic, there bool)
}

// newProcess checks the cluster, creates what is missing there, and listens. It
// does not run anything yet.
func newProcess(ctx context.Context, c *config.Config, cluster log.Cluster, logger *slog.Logger) (*process, error) {
	p := &process{log: logger, cluster: cluster, workers: make(map[string]*business.Worker), limits: make(map[string]int32)}
	p.onLogic = p.logLogic
	if err := p.wire(ctx, c); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *process) wire(ctx context.Context, c *config.Config) error {
	if err := p.listen(c); err != nil {
		return err
	}
	quiet := p.cluster
	quiet.Logger = nil // the error says it all
	if err := quiet.Ping(ctx); err != nil {
		return fmt.Errorf("log.brokers: %w; want host:port of a broker that runs", err)
	}
	facts, err := p.reach(ctx)
	if err != nil {
		return err
	}
	meter, err := p.admin.meter()
	if err != nil {
		return err
	}
	metrics, err := business.NewMetrics(meter)
	if err != nil {
		return err
	}
	watching, err := frontdoor.NewMetrics(meter)
	if err != nil {
		return err
	}
	asking, err := query.NewMetrics(meter)
	if err != nil {
		return err
	}
	books, err := p.shelve(ctx, c, meter)
	if err != nil {
		return err
	}
	address, creds, err := p.advertise(c.Peers)
	if err != nil {
		return err
	}
	var incarnations []string
	settings := log.TopicSettings{Partitions: int32(c.Log.Partitions), ReplicationFactor: int16(max(0, c.Log.ReplicationFactor))}
	for _, b := range c.BusinessLogic {
		logic, err := p.dialLogic(b)
		if err != nil {
			return err
		}
		domain, err := p.brokers.EnsureDomain(ctx, b.Domain, settings)
		if err != nil {
			return err
		}
		p.limits[b.Domain] = domain.CommandsMaxBytes
		depth, err := deadletter.NewDepth(p.cluster, p.brokers, b.Domain, meter, p.log)
		if err != nil {
			return err
		}
		p.depths = append(p.depths, depth)
		identity := partitioning.NewIdentity(address)
		incarnations = append(incarnations, identity.Incarnation)
		p.workers[b.Domain] = business.NewWorker(business.Config{
			Domain: domain, Cluster: p.cluster,
			Member: partitioning.Config{
				Identity: identity, TopicID: domain.CommandsID, TransactionVersion: facts.TransactionVersion,
				MissingOffsets: partitioning.MissingOffsets(c.Log.MissingOffsets),
			},
			Logic: logic.conn, Books: books(domain),
			Replies: p.writer, Domains: p.domains, Metrics: metrics, Logger: p.log,
			OpenBook: int(c.Limits.OpenBook), Answer: int(c.Limits.Answer), Waiting: c.Limits.Waiting,
		})
	}
	reactions, err := reactor.NewMetrics(meter)
	if err != nil {
		return err
	}
	rebuilds, err := rebuild.NewMetrics(meter)
	if err != nil {
		return err
	}
	p.reacts = &reactors{
		p: p, settings: settings, metrics: reactions, rebuilds: rebuilds,
		member: partitioning.Config{
			Identity: partitioning.NewIdentity(address), TransactionVersion: facts.TransactionVersion,
			MissingOffsets: partitioning.MissingOffsets(c.Log.MissingOffsets),
		},
	}
	if err := p.reacts.wire(ctx, c); err != nil {
		return err
	}
	incarnations = append(incarnations, p.reacts.member.Identity.Incarnation)
	if p.peerDoor != nil {
		p.peers = frontdoor.NewPeers(address, incarnations, p.workers, creds)
		p.closers = append(p.closers, p.peers.Close)
		p.watch = p.watchOver(watching)
	}
	return p.open(ctx, c, settings, creds, asking)
}

// watchOver makes the watch over who works beside this process.
func (p *process) watchOver(metrics *frontdoor.Metrics) *frontdoor.Watch {
	var own []string
	for domain := range p.workers {
		own = append(own, log.Group(domain))
	}
	groups := func() []string { return append(p.reacts.groups(), own...) }
	return frontdoor.NewWatch(frontdoor.WatchConfig{
		Peers: p.peers, Roster: partitioning.NewRoster(p.brokers.Client()), Groups: groups, Metrics: metrics, Logger: p.log,
	})
}

// open makes the doors.
func (p *process) open(ctx context.Context, c *config.Config, settings log.TopicSettings, creds credentials.TransportCredentials, asking *query.Metrics) error {
	if _, err := p.brokers.EnsureReplies(ctx, settings); err != nil {
		return err
	}
	ends, err := p.brokers.HighWatermarks(ctx, log.RepliesTopic)
	if err != nil {
		return err
	}
	p.topic = frontdoor.NewTopic(p.cluster, p.writer, ends, p.log)
	p.queries = query.New(query.Config{Cluster: p.cluster, Admin: p.brokers, Domains: p.domains, Shelf: p.shelf, Metrics: asking, Logger: p.log})
	p.readers = sequel.NewReaders(p.cluster, p.brokers, p.log)
	if err := p.readers.Read(ctx); err != nil {
		return err
	}
	sequels := sequel.New(sequel.Config{
		Cluster: p.cluster, Admin: p.brokers, Readers: p.readers, Pages: p.queries, Domains: p.domains, Logger: p.log,
		Replies: p.topic.Partition(), Sagas: c.SynchronousDepth, Answer: int(c.Limits.Answer), Waiting: c.Limits.Waiting,
	})
	p.topic.Others(sequels.Take)
	door := frontdoor.Config{
		Workers: p.workers, Domains: p.domains, Topic: p.topic, Sequels: sequels, Logger: p.log,
		MaxCommand: maxCommand, TopicLimits: p.limits, Waiting: c.Limits.Waiting,
	}
	if p.peers != nil {
		door.Peers, door.Owners = p.peers, partitioning.NewOwners(p.brokers.Client())
		server := p.server(grpc.Creds(creds))
		angzarr.RegisterPeersServer(server, p.peers)
		p.served = append(p.served, served{server, p.peerDoor})
	}
	p.health = health.NewServer()
	server := p.server(frontdoor.LocalOnly(angzarr.DeadLetters_ServiceDesc.ServiceName, angzarr.Erasure_ServiceDesc.ServiceName,
		angzarr.Projectors_ServiceDesc.ServiceName)...)
	callers := frontdoor.New(door)
	angzarr.RegisterBusinessCoordinatorServer(server, callers)
	angzarr.RegisterDeadLettersServer(server, deadletter.New(deadletter.Config{
		Cluster: p.cluster, Admin: p.brokers, Writer: p.writer, Domains: p.domains, Poster: p.topic, Logger: p.log,
	}))
	angzarr.RegisterErasureServer(server, frontdoor.Erasure{Door: callers, Verifier: erasure.New(p.cluster, p.brokers, p.domains)})
	angzarr.RegisterProjectorsServer(server, rebuild.NewService(p.cluster, p.brokers, p.writer))
	angzarr.RegisterEventQueryServer(server, p.queries)
	angzarr.RegisterProjectorCoordinatorServer(server, sequel.Projectors{Gatherer: sequels})
	angzarr.RegisterSagaCoordinatorServer(server, sequel.Sagas{Gatherer: sequels})
	healthpb.RegisterHealthServer(server, p.health)
	schema.Register(server, p.backends()...)
	// The callers' door is closed before the peers'.
	p.served = append([]served{{server, p.door}}, p.served...)
	return nil
}

// reach connects to the brokers and says what about them is slow.
func (p *process) reach(ctx context.Context) (facts log.BrokerFacts, err error) {
	if p.brokers, err = p.cluster.NewAdmin("angzarr-admin"); err != nil {
		return facts, err
	}
	p.closers = append(p.closers, p.brokers.Close)
	p.domains = frontdoor.NewDomains(p.brokers.Domains)
	if p.writer, err = p.cluster.NewWriter("angzarr-writer"); err != nil {
		return facts, err
	}
	p.closers = append(p.closers, p.writer.Close)
	if facts, err = p.brokers.Facts(ctx); err != nil {
		return facts, err
	}
	if facts.TxnRetryBackoff >= log.DefaultTxnRetryBackoff {
		p.log.Warn("the brokers retry transactions slowly: a commit that follows upon another waits; set add.partitions.to.txn.retry.backoff.ms=1 there if you can",
			"add.partitions.to.txn.retry.backoff.ms", facts.TxnRetryBackoff.Milliseconds())
	}
	return facts, nil
}

// run runs everything until ctx ends or something can't go on. The groups are
// left first and the doors closed last, so that calls under way are answered, by
// the next owners if need be.
func (p *process) run(ctx context.Context) error {
	defer p.close()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	all, running := errgroup.WithContext(ctx)
	for _, s := range p.served {
		all.Go(func() error { return s.server.Serve(s.listener) })
	}
	all.Go(p.admin.serve)
	all.Go(func() error { return p.topic.Run(serving) })
	all.Go(func() error { return p.readers.Run(serving) })
	for _, l := range p.logics {
		all.Go(func() error { l.watch(running, p.onLogic); return nil })
	}
	if p.watch != nil {
		p.watch.Inherit(running)
		all.Go(func() error { return p.watch.Run(running) })
	}
	for _, d := range p.depths {
		all.Go(func() error { d.Run(running); return nil })
	}
	var workers sync.WaitGroup
	for _, w := range p.workers {
		workers.Add(1)
		all.Go(func() error { defer workers.Done(); return w.Run(running) })
	}
	workers.Add(1)
	all.Go(func() error { defer workers.Done(); return p.reacts.run(running) })
	all.Go(func() error {
		<-running.Done()
		workers.Wait()
		p.health.Shutdown()
		p.queries.Stop()
		p.stopDoors()
		stopServing()
		return nil
	})
	p.health.SetServingStatus("", healthpb.HealthCheckResponse_SERVING)
	return all.Wait()
}

func (p *process) close() {
	for _, l := range []net.Listener{p.door, p.peerDoor} {
		if l != nil {
			l.Close()
		}
	}
	if p.admin != nil {
		p.admin.stop()
	}
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
	p.closers = nil
}
