package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/log"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// SyncOptions say how to measure synchronous answers.
type SyncOptions struct {
	Binary      string        `json:"-"`
	Brokers     []string      `json:"brokers,omitempty"` // none means the embedded one
	Partitions  int32         `json:"partitions"`
	Replication int16         `json:"replication"`
	Size        int           `json:"size"` // of a command's payload
	Warmup      time.Duration `json:"warmup"`
	Duration    time.Duration `json:"duration"` // of each kind of answer

	Log   *slog.Logger `json:"-"`
	Child bool         `json:"-"`
}

// Check names the first option that makes no sense.
func (o SyncOptions) Check() error {
	switch {
	case o.Partitions < 1 || o.Replication < 1 || o.Size < 1:
		return errors.New("partitions, replication and size must be positive")
	case o.Duration <= 0 || o.Warmup < 0:
		return errors.New("duration must be positive, and warmup not negative")
	}
	return nil
}

// synced is one run.
type synced struct {
	SyncOptions
	from, to string // domains: a saga turns each event of the first one into a command to the other
	name     string // the projector's, and the saga's
	child    *child
	client   pb.BusinessCoordinatorClient
	report   *QueryReport
}

// RunSync measures what one caller waits for the answer to a command, and to a
// synchronous one that leads through a projector and a saga. Every answer is checked.
func RunSync(ctx context.Context, o SyncOptions) (report *QueryReport, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	id := uuid.NewString()[:8]
	s := &synced{
		SyncOptions: o, from: "bench-" + id + "-from", to: "bench-" + id + "-to", name: "bench-" + id,
		report: &QueryReport{
			Date: time.Now().UTC().Truncate(time.Second), Machine: machine(), Command: "angzarr " + strings.Join(os.Args[1:], " "),
		},
	}
	if len(o.Brokers) == 0 {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return nil, fmt.Errorf("start the embedded broker: %w", err)
		}
		defer cluster.Close()
		s.Brokers, s.Replication = cluster.ListenAddrs(), 1
	}
	client, err := kgo.NewClient(clientOptions(s.Brokers)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	defer func() {
		admin := kadm.NewClient(client)
		over := context.WithoutCancel(ctx)
		_, gone := admin.DeleteTopics(over, log.ProjectionsTopic(s.name))
		err = errors.Join(err, gone, deleteTopics(over, admin, s.from), deleteTopics(over, admin, s.to))
	}()
	driving, died := context.WithCancelCause(ctx)
	defer died(nil)
	close, err := s.serve(driving, died)
	if err != nil {
		return nil, errors.Join(err, context.Cause(driving))
	}
	defer close()
	if err = s.measure(driving); err != nil && driving.Err() != nil {
		err = context.Cause(driving)
	}
	return s.report, errors.Join(err, s.child.stop())
}

// serve starts the services here, and the coordinators in a process of their own.
func (s *synced) serve(ctx context.Context, died func(error)) (close func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	pb.RegisterBusinessLogicServer(server, &logic{snapshotEvery: 4})
	pb.RegisterProjectorServer(server, projecting{})
	pb.RegisterSagaServer(server, passing{to: s.to})
	go server.Serve(listener) //nolint:errcheck // ends with Stop
	context.AfterFunc(ctx, server.Stop)
	addresses, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	address := listener.Addr().String()
	config, err := json.Marshal(object{
		"listen": addresses[0], "admin": addresses[1],
		"log":            object{"type": "kafka", "brokers": s.Brokers, "partitions": s.Partitions, "replication_factor": s.Replication},
		"business_logic": []object{{"domain": s.from, "address": address}, {"domain": s.to, "address": address}},
		"projectors":     []object{{"name": s.name, "domains": []string{s.from, s.to}, "address": address, "synchronous": true}},
		"sagas":          []object{{"name": s.name, "domains": []string{s.from}, "address": address, "synchronous": true}},
	})
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "angzarr-bench-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(folder, "angzarr.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	if s.child, err = start(s.Child, died, s.Binary, "serve", "--config", file); err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(addresses[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	s.client = pb.NewBusinessCoordinatorClient(conn)
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return func() { conn.Close(); os.RemoveAll(folder) }, (&deployment{front: addresses[0]}).ready(waiting)
}

// measure asks as one caller does: plainly, then synchronously.
func (s *synced) measure(ctx context.Context) error {
	for _, kind := range []struct {
		name        string
		synchronous bool
	}{{"answer", false}, {"synchronous answer, of a projector and a saga hop", true}} {
		var took []time.Duration
		for counts, end := time.Now().Add(s.Warmup), time.Now().Add(s.Warmup+s.Duration); len(took) == 0 || time.Now().Before(end); {
			begun := time.Now()
			if err := s.ask(ctx, kind.synchronous); err != nil {
				return err
			}
			if begun.After(counts) {
				took = append(took, time.Since(begun))
			}
		}
		l := newLatency(took)
		s.report.Figures = append(s.report.Figures,
			Figure{kind.name + ", p50", l.P50, "ms"}, Figure{kind.name + ", p95", l.P95, "ms"},
			Figure{kind.name + ", p99", l.P99, "ms"}, Figure{kind.name + ", slowest", l.Max, "ms"},
			Figure{kind.name + ", how many", float64(len(took)), ""})
	}
	return nil
}

// ask gives a command to a new root, and checks the answer.
func (s *synced) ask(ctx context.Context, synchronous bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	root := uuid.New()
	answer, err := s.client.Handle(ctx, &pb.CommandBook{
		Cover: &pb.Cover{Domain: s.from, Root: &pb.UUID{Value: root[:]}},
		Pages: []*pb.CommandPage{{Synchronous: synchronous, Command: &anypb.Any{TypeUrl: "type.googleapis.com/angzarr.bench.Payload", Value: make([]byte, s.Size)}}},
	})
	if err != nil {
		return err
	}
	books, projections := 1, 0
	if synchronous {
		books, projections = 2, 2
	}
	if len(answer.Books) != books || len(answer.Projections) != projections || len(answer.Undone) > 0 {
		return fmt.Errorf("the answer has %d books, %d projections and lacks %v; want %d and %d", len(answer.Books), len(answer.Projections), answer.Undone, books, projections)
	}
	return nil
}

// projecting is a projector that shows an aggregate's last event.
type projecting struct {
	pb.UnimplementedProjectorServer
}

func (projecting) HandleSync(_ context.Context, b *pb.EventBook) (*pb.Projection, error) {
	return &pb.Projection{Projection: b.Pages[len(b.Pages)-1].Event}, nil
}

// passing is a saga that passes each event on, to the same root of another domain.
type passing struct {
	pb.UnimplementedSagaServer
	to string
}

func (p passing) HandleSync(_ context.Context, b *pb.EventBook) (*pb.SynchronousProcessingResponse, error) {
	return &pb.SynchronousProcessingResponse{Commands: []*pb.CommandBook{{
		Cover: &pb.Cover{Domain: p.to, Root: b.Cover.Root}, Pages: []*pb.CommandPage{{Command: b.Pages[0].Event}},
	}}}, nil
}
