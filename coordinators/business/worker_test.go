package business_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
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
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"net"
)

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

// one answers each command with an event that holds how many pages there were.
func one(_ context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	event, _ := anypb.New(wrapperspb.UInt32(uint32(len(c.Events.Pages))))
	return &angzarr.EventBook{Pages: []*angzarr.EventPage{{Event: event}}}, nil
}

func startWorker(t *testing.T, b *logtest.Broker, name string, logic grpc.ClientConnInterface) (*business.Worker, func()) {
	t.Helper()
	client := b.Client(t)
	domain, err := log.EnsureDomain(t.Context(), client, b.Domain(name), log.TopicSettings{Partitions: 4, ReplicationFactor: 1})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := log.CheckBroker(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	metrics, _ := business.NewMetrics(noop.Meter{})
	replies, err := b.Cluster.NewWriter("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replies.Close)
	w := business.NewWorker(business.Config{
		Domain: domain, Cluster: b.Cluster,
		Member:  partitioning.Config{Identity: partitioning.NewIdentity(""), TopicID: domain.CommandsID, TransactionVersion: facts.TransactionVersion},
		Logic:   logic,
		Books:   snapshots.NewBooks(1 << 20),
		Replies: replies, Metrics: metrics,
		Logger:   slog.New(slog.NewTextHandler(os.Stderr, nil)),
		OpenBook: 3 << 20, Answer: 4 << 20, Waiting: 10000,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return w, stop
}

func handle(t *testing.T, w *business.Worker, domain string, root uuid.UUID, id string) *angzarr.EventBook {
	t.Helper()
	payload, _ := anypb.New(wrapperspb.String("do"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		book, err := w.Handle(ctx, &angzarr.CommandBook{
			Cover:     &angzarr.Cover{Domain: domain, Root: &angzarr.UUID{Value: root[:]}},
			Pages:     []*angzarr.CommandPage{{Command: payload}},
			CommandId: id, CorrelationId: id,
		}, "")
		if errors.Is(err, business.ErrNotOwner) && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return book
	}
}

func TestSmoke(t *testing.T) {
	b := logtest.Start(t)
	w, stop := startWorker(t, b, "smoke", serveLogic(t, one))
	root := uuid.New()
	for i := range 10 {
		begun := time.Now()
		book := handle(t, w, b.Domain("smoke"), root, fmt.Sprint("c", i))
		fmt.Println(i, time.Since(begun), book)
	}
	again := handle(t, w, b.Domain("smoke"), root, "c3")
	fmt.Println(again)
	stop()
	for _, r := range logtest.ReadCommitted(t, b.Cluster, log.EventsTopic(b.Domain("smoke"))) {
		fmt.Println(r.Partition, r.Offset, r.Key, r.Headers)
	}
}
