package rebuild_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/projector"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor"
	"github.com/angzarr/angzarr-kafka/coordinators/reactor/reactortest"
	"github.com/angzarr/angzarr-kafka/coordinators/rebuild"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// projecting is a projector whose projection of a root is how many events it has
// had, and by which version; version 1 also has one of what others leave out:
// roots of which the first event says "hidden".
type projecting struct {
	angzarr.UnimplementedProjectorServer
	angzarr.UnimplementedProjectorVersionsServer

	mu     sync.Mutex
	pages  map[string][]uint32 // by version and root: the numbers as they came
	hidden map[string]bool
	resets []uint32
	shown  []uint32
	plain  bool   // it knows no versions
	away   string // a version that is not served
}

func (p *projecting) HandleSync(ctx context.Context, b *angzarr.EventBook) (*angzarr.Projection, error) {
	version := "1"
	if in, _ := metadata.FromIncomingContext(ctx); len(in.Get(projector.MetadataVersion)) > 0 {
		version = in.Get(projector.MetadataVersion)[0]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if version == p.away {
		return nil, status.Error(codes.Unavailable, "not now")
	}
	root := string(b.Cover.Root.Value)
	for _, page := range b.Pages {
		p.pages[version+root] = append(p.pages[version+root], page.GetNum())
		if reactortest.TextOf(page.Event) == "hidden" {
			p.hidden[root] = true
		}
	}
	if version != "1" && p.hidden[root] {
		return &angzarr.Projection{}, nil
	}
	last := b.Pages[len(b.Pages)-1].GetNum()
	return &angzarr.Projection{Projection: reactortest.Text(fmt.Sprintf("%s: %d", version, last))}, nil
}

func (p *projecting) Reset(ctx context.Context, r *angzarr.ResetProjectorRequest) (*angzarr.ResetProjectorResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plain {
		return p.UnimplementedProjectorVersionsServer.Reset(ctx, r)
	}
	p.resets = append(p.resets, r.Version)
	return &angzarr.ResetProjectorResponse{}, nil
}

func (p *projecting) Show(ctx context.Context, r *angzarr.ShowProjectorRequest) (*angzarr.ShowProjectorResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plain {
		return p.UnimplementedProjectorVersionsServer.Show(ctx, r)
	}
	p.shown = append(p.shown, r.Version)
	return &angzarr.ShowProjectorResponse{}, nil
}

// serves has it serve all versions but one.
func (p *projecting) serves(but string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = but
}

// had gives the last event of a root that a version has had.
func (p *projecting) had(version int, root log.Root) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := uint32(0)
	for _, n := range p.pages[strconv.Itoa(version)+string(root[:])] {
		last = max(last, n)
	}
	return last
}

type world struct {
	*reactortest.World
	t       *testing.T
	name    string
	topic   log.Projections
	service *projecting
	conn    grpc.ClientConnInterface
	facts   log.BrokerFacts
	asked   *rebuild.Service
}

func newWorld(t *testing.T, partitions int32) *world {
	t.Helper()
	t.Parallel()
	w := &world{World: reactortest.New(t, partitions), t: t, service: &projecting{pages: make(map[string][]uint32), hidden: make(map[string]bool)}}
	w.name = w.Broker.Domain("summary")
	w.conn = reactortest.Serve(t, func(r grpc.ServiceRegistrar) {
		angzarr.RegisterProjectorServer(r, w.service)
		angzarr.RegisterProjectorVersionsServer(r, w.service)
	})
	var err error
	if w.facts, err = w.Admin().Facts(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.topic, err = w.Admin().EnsureProjections(t.Context(), w.name, log.TopicSettings{Partitions: partitions, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	writer, err := w.Cluster.NewWriter("test-orders")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(writer.Close)
	w.asked = rebuild.NewService(w.Cluster, w.Admin(), writer)
	w.asked.SetMeasured(10 * time.Millisecond)
	return w
}

// process is one that serves the projector.
type process struct {
	w      *world
	wire   *logtest.Wire
	id     partitioning.Identity
	cancel context.CancelFunc
	deaf   context.CancelFunc // has it hear nothing of states any more
	all    sync.WaitGroup
}

// start starts one that runs until the test ends, or it is stopped or killed.
func (w *world) start() *process {
	w.t.Helper()
	p := &process{w: w, wire: logtest.NewWire(w.t, w.Cluster.Brokers[0]), id: partitioning.NewIdentity("")}
	cluster := w.Cluster
	cluster.Brokers = []string{p.wire.Addr()}
	fatal := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	admin, err := cluster.NewAdmin("test-process")
	fatal(err)
	writer, err := cluster.NewWriter("test-process")
	fatal(err)
	follower, err := rebuild.Follow(w.t.Context(), cluster, admin, cluster.Logger)
	fatal(err)
	metrics, err := reactor.NewMetrics(noop.Meter{})
	fatal(err)
	rebuilds, err := rebuild.NewMetrics(noop.Meter{})
	fatal(err)
	member := partitioning.Config{Identity: p.id, TransactionVersion: w.facts.TransactionVersion, MissingOffsets: partitioning.RefuseMissing}
	domains := func(context.Context) ([]string, error) { return []string{w.World.Domain.Name}, nil }
	versions, err := rebuild.NewVersions(w.t.Context(), rebuild.VersionsConfig{
		Name: w.name, Follower: follower, Domains: domains, Logger: cluster.Logger,
		Worker: func(ctx context.Context, run rebuild.Run, domain string) (rebuild.Worker, error) {
			group := log.ProjectorVersionGroup(w.name, domain, run.Version)
			if err := admin.Enrol(ctx, cluster, log.Reader{Group: group}, domain); err != nil {
				return nil, err
			}
			if run.Staged {
				settings := log.TopicSettings{Partitions: w.topic.Partitions, ReplicationFactor: 1}
				if _, err := admin.EnsureStagedProjections(ctx, w.name, run.Version, settings); err != nil {
					return nil, err
				}
			}
			return reactor.NewWorker(reactor.Config{
				Name: "projector." + w.name, Group: group, Domain: w.World.Domain, Cluster: cluster, Member: member,
				Service: projector.New(projector.Config{
					Name: w.name, Conn: w.conn, Projections: w.topic, Answer: 1 << 20, Version: run.Version, Staged: run.Staged,
				}),
				Metrics: metrics, Logger: cluster.Logger, Attempts: 3,
				Gate: func(ctx context.Context) bool { return follower.Gate(ctx, w.name, run) },
			}), nil
		},
	})
	fatal(err)
	steersman := rebuild.NewSteersman(rebuild.SteeringConfig{
		Name: w.name, Cluster: cluster, Admin: admin, Writer: writer, Follower: follower, Member: member,
		Domains: domains, Conn: w.conn, Projections: w.topic, Metrics: rebuilds, Logger: cluster.Logger,
	})
	ctx, cancel := context.WithCancel(context.Background())
	hearing, deaf := context.WithCancel(ctx)
	p.cancel, p.deaf = cancel, deaf
	p.all.Go(func() { follower.Run(hearing) })
	for _, run := range []func(context.Context) error{versions.Run, steersman.Run} {
		p.all.Go(func() {
			if err := run(ctx); err != nil && !p.wire.IsCut() {
				w.t.Errorf("a process ended: %v", err)
			}
		})
	}
	w.t.Cleanup(func() { p.stop(); admin.Close(); writer.Close() })
	return p
}

func (p *process) stop() {
	p.cancel()
	if !p.wire.IsCut() { // else retries may go on for a while
		p.all.Wait()
	}
}

// kill cuts a process off, and has it evicted as its peers do.
func (p *process) kill() {
	p.w.t.Helper()
	p.wire.Cut()
	p.cancel()
	roster := partitioning.NewRoster(p.w.Admin().Client())
	groups, err := roster.Groups(p.w.t.Context(), log.SteeringGroup(p.w.name))
	if err != nil {
		p.w.t.Error(err)
	}
	for _, group := range groups {
		members, err := roster.Members(p.w.t.Context(), group)
		var dead []partitioning.Membership
		for _, m := range members {
			if m.Incarnation == p.id.Incarnation {
				dead = append(dead, m)
			}
		}
		if err == nil {
			_, err = roster.Evict(p.w.t.Context(), group, dead, "a test")
		}
		if err != nil {
			p.w.t.Error(err)
		}
	}
}

// order gives one, and wants it obeyed.
func (w *world) order(o angzarr.SteerProjectorRequest_Order) {
	w.t.Helper()
	if _, err := w.asked.Steer(w.t.Context(), &angzarr.SteerProjectorRequest{Projector: w.name, Order: o}); err != nil {
		w.t.Fatalf("%v: %v", o, err)
	}
}

// standing says how far the projector is.
func (w *world) standing() *angzarr.ProjectorStanding {
	w.t.Helper()
	answer, err := w.asked.List(w.t.Context(), &angzarr.ListProjectorsRequest{Projector: w.name})
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.Projectors[0]
}

// shows waits until a version is shown, and nothing is left of others.
func (w *world) shows(version uint32) {
	w.t.Helper()
	reactortest.Eventually(w.t, fmt.Sprintf("version %d is shown, and no other is left", version), func() bool {
		s := w.standing().State
		return s.Version == version && s.Rebuild == nil && len(s.Gone) == 0
	})
}

// each writes an event for each root.
func (w *world) each(roots []log.Root, n int) {
	w.t.Helper()
	for range n {
		for _, root := range roots {
			w.Put(root, "said")
		}
	}
}

// published gives what each root's projections have said, in order; "-" is a
// tombstone.
func (w *world) published() map[log.Root][]string {
	w.t.Helper()
	said := make(map[log.Root][]string)
	for _, r := range logtest.ReadCommitted(w.t, w.Cluster, log.ProjectionsTopic(w.name)) {
		root := log.Root(r.Key)
		if r.Value == nil {
			said[root] = append(said[root], "-")
			continue
		}
		p := &angzarr.Projection{}
		if err := proto.Unmarshal(r.Value, p); err != nil {
			w.t.Fatal(err)
		}
		said[root] = append(said[root], reactortest.TextOf(p.Projection))
	}
	return said
}

func last(all []string) string {
	if len(all) == 0 {
		return "nothing"
	}
	return all[len(all)-1]
}

// comes waits until the latest projection of each root says so.
func (w *world) comes(roots []log.Root, want string) {
	w.t.Helper()
	reactortest.Eventually(w.t, "the projections say "+want, func() bool {
		said := w.published()
		for _, root := range roots {
			if last(said[root]) != want {
				return false
			}
		}
		return true
	})
}

// rises wants each root's projections to go on and never back: from one version to
// the next, and in the numbers of events.
func (w *world) rises() {
	w.t.Helper()
	for root, all := range w.published() {
		version, number := 0, 0
		for _, said := range all {
			v, n, ok := strings.Cut(said, ": ")
			if !ok {
				continue
			}
			vv, _ := strconv.Atoi(v)
			nn, _ := strconv.Atoi(n)
			if vv < version || vv == version && nn <= number || vv > version && nn < number {
				w.t.Errorf("root %s: the projections say %v", root, all)
				break
			}
			version, number = vv, nn
		}
	}
}
