package frontdoor

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/metric/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// world is a domain on the log, and the processes around it.
type world struct {
	*testing.T
	broker  *logtest.Broker
	admin   *log.Admin
	writer  *log.Writer
	domain  log.Domain
	facts   log.BrokerFacts
	domains *Domains
	logic   grpc.ClientConnInterface
}

func newWorld(t *testing.T, handle logicFunc) *world {
	t.Helper()
	return newWorldOn(t, logtest.Start(t), handle)
}

func newWorldOn(t *testing.T, b *logtest.Broker, handle logicFunc) *world {
	t.Helper()
	w := &world{T: t, broker: b, logic: serveLogic(t, handle)}
	var err error
	if w.admin, err = b.Cluster.NewAdmin("test-admin"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.admin.Close)
	if w.writer, err = b.Cluster.NewWriter("test-writer"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.writer.Close)
	settings := log.TopicSettings{Partitions: 4, ReplicationFactor: 1}
	if w.domain, err = w.admin.EnsureDomain(t.Context(), b.Domain("door"), settings); err != nil {
		t.Fatal(err)
	}
	if _, err = w.admin.EnsureReplies(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	if w.facts, err = w.admin.Facts(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.domains = NewDomains(w.admin.Domains)
	return w
}

type logicFunc func(context.Context, *angzarr.ContextualCommand) (*angzarr.EventBook, error)

type logicServer struct {
	angzarr.UnimplementedBusinessLogicServer
	handle logicFunc
}

func (s logicServer) Handle(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	return s.handle(ctx, c)
}

func serveLogic(t *testing.T, handle logicFunc) grpc.ClientConnInterface {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer()
	angzarr.RegisterBusinessLogicServer(s, logicServer{handle: handle})
	go s.Serve(l)
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient("passthrough:///logic", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// echo answers a command with an event that says what the command said. It
// refuses "no".
func echo(_ context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	said := wrapperspb.String("")
	if err := c.Command.Pages[0].Command.UnmarshalTo(said); err != nil {
		return nil, err
	}
	if said.Value == "no" {
		return nil, status.Error(codes.FailedPrecondition, "logic says no")
	}
	return &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: c.Command.Pages[0].Command}}}, nil
}

// worker runs a worker until the test, or its stop, ends. Others hand commands
// over to it at the address, if it has one.
func (w *world) worker(identity partitioning.Identity) (_ *business.Worker, stop func()) {
	w.Helper()
	metrics, err := business.NewMetrics(noop.Meter{})
	if err != nil {
		w.Fatal(err)
	}
	worker := business.NewWorker(business.Config{
		Domain: w.domain, Cluster: w.broker.Cluster,
		Member: partitioning.Config{
			Identity: identity, TopicID: w.domain.CommandsID, TransactionVersion: w.facts.TransactionVersion,
		},
		Logic: w.logic, Books: snapshots.NewBooks(1 << 20), Replies: w.writer,
		Metrics: metrics, Logger: w.broker.Cluster.Logger,
		OpenBook: 16 << 20, Answer: 16 << 20, Waiting: 1000,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	w.Cleanup(stop)
	return worker, stop
}

// owns waits until the worker owns all of the domain.
func (w *world) owns(worker *business.Worker) {
	w.Helper()
	w.until("the worker owns all partitions", func() bool {
		for p := range w.domain.Partitions {
			if !worker.Owns(p) {
				return false
			}
		}
		return true
	})
}

// topic runs a way through the topic.
func (w *world) topic() *Topic {
	w.Helper()
	ends, err := w.admin.HighWatermarks(w.Context(), log.RepliesTopic)
	if err != nil {
		w.Fatal(err)
	}
	t := NewTopic(w.broker.Cluster, w.writer, ends, w.broker.Cluster.Logger)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- t.Run(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	return t
}

// door makes a door that owns nothing. Without peers all goes through the topic.
func (w *world) door(peers *Peers) *Door {
	w.Helper()
	c := Config{
		Domains: w.domains, Topic: w.topic(), MaxCommand: 1_000_000, Waiting: 1000, Logger: w.broker.Cluster.Logger,
	}
	if peers != nil {
		c.Peers, c.Owners = peers, partitioning.NewOwners(w.admin.Client())
		w.Cleanup(peers.Close)
	}
	return New(c)
}

// strangers are peers of a process that is no worker.
func strangers() *Peers { return NewPeers("127.0.0.1:1", nil, nil, insecure.NewCredentials()) }

// peerProcess is a process of which others hear by the group.
type peerProcess struct {
	address string
	worker  *business.Worker
	server  *grpc.Server
	stop    func() // the worker's
}

// process runs a worker and its peers' door.
func (w *world) process(address string, creds credentials.TransportCredentials) *peerProcess {
	w.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		w.Fatal(err)
	}
	p := &peerProcess{address: l.Addr().String()}
	identity := partitioning.NewIdentity(p.address)
	p.worker, p.stop = w.worker(identity)
	p.server = grpc.NewServer(grpc.Creds(creds), grpc.MaxRecvMsgSize(16<<20))
	workers := map[string]*business.Worker{w.domain.Name: p.worker}
	angzarr.RegisterPeersServer(p.server, NewPeers(p.address, []string{identity.Incarnation}, workers, creds))
	go p.server.Serve(l)
	w.Cleanup(p.server.Stop)
	return p
}

// until waits for what is bound to come.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-deadline.C:
			w.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

// command says something to a root.
func (w *world) command(root uuid.UUID, id, says string) *angzarr.CommandBook {
	return &angzarr.CommandBook{
		Cover:     &angzarr.Cover{Domain: w.domain.Name, Root: &angzarr.UUID{Value: root[:]}},
		Pages:     []*angzarr.CommandPage{{Command: payload(says)}},
		CommandId: id,
	}
}

func payload(says string) *anypb.Any {
	a, err := anypb.New(wrapperspb.String(says))
	if err != nil {
		panic(err)
	}
	return a
}

// rootIn finds a root of the partition.
func (w *world) rootIn(partition int32) uuid.UUID {
	for {
		if root := uuid.New(); partitioning.Of(log.Root(root), w.domain.Partitions) == partition {
			return root
		}
	}
}

func (w *world) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.Context(), d)
	w.Cleanup(cancel)
	return ctx
}

// pages are a root's in the log, as "1:what it said 2:…".
func (w *world) pages(root uuid.UUID) (pages string) {
	w.Helper()
	for _, k := range logtest.ReadCommitted(w, w.broker.Cluster, log.EventsTopic(w.domain.Name)) {
		r := log.FromClient(k)
		if of, _, kind := log.ParseKey(r.Key); kind != log.KeyPage || of != log.Root(root) {
			continue
		}
		page, err := log.DecodePage(&r)
		if err != nil {
			w.Fatal(err)
		}
		pages += show(page.Proto())
	}
	return pages
}

// said is what a response's pages are.
func said(response *angzarr.SynchronousProcessingResponse) (pages string) {
	for _, book := range response.GetBooks() {
		for _, p := range book.Pages {
			pages += show(p)
		}
	}
	return pages
}

func show(p *angzarr.EventPage) string {
	s := wrapperspb.String("")
	if err := p.Event.UnmarshalTo(s); err != nil {
		return "?"
	}
	return fmt.Sprintf("%d:%s ", p.GetNum(), s.Value)
}

// wantCode checks a status, and what it must name.
func wantCode(t testing.TB, err error, code codes.Code) *status.Status {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code {
		t.Errorf("answered %v: %s; want %v", st.Code(), st.Message(), code)
	}
	return st
}
