package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// slowLogic answers every command with one event, as late as it is told to.
type slowLogic struct {
	pb.UnimplementedBusinessLogicServer
	arrived chan struct{}
	calls   atomic.Int32
	delay   func(ctx context.Context, call int32) error
}

func (l *slowLogic) Handle(ctx context.Context, in *pb.ContextualCommand) (*pb.EventBook, error) {
	call := l.calls.Add(1)
	if call == 1 {
		close(l.arrived)
	}
	if err := l.delay(ctx, call); err != nil {
		return nil, err
	}
	return &pb.EventBook{Pages: []*pb.EventPage{{Event: in.GetCommand().GetPages()[0].GetCommand()}}}, nil
}

func serveSlowLogic(t *testing.T, delay func(context.Context, int32) error) (*slowLogic, string) {
	t.Helper()
	l := &slowLogic{arrived: make(chan struct{}), delay: delay}
	s := grpc.NewServer()
	pb.RegisterBusinessLogicServer(s, l)
	address, err := listenAndServe(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return l, address
}

// TestStopAnswers ends a process by SIGTERM while a call is under way there.
func TestStopAnswers(t *testing.T) {
	t.Run("what business logic answers in time is committed", func(t *testing.T) {
		t.Parallel()
		logic, address := serveSlowLogic(t, func(ctx context.Context, _ int32) error { return after(ctx, 500*time.Millisecond) })
		stopUnderWay(t, logic, address, 1)
	})
	t.Run("what is not decided by then is the next owner's", func(t *testing.T) {
		t.Parallel()
		logic, address := serveSlowLogic(t, func(ctx context.Context, call int32) error {
			if call == 1 {
				<-ctx.Done() // the first owner never hears
				return ctx.Err()
			}
			return nil
		})
		stopUnderWay(t, logic, address, 2)
	})
}

// stopUnderWay starts processes, calls the first, and ends it once business
// logic has the call. The call must be answered, and have one page.
func stopUnderWay(t *testing.T, logic *slowLogic, address string, processes int) {
	b := logtest.Start(t)
	domain := b.Domain("stop")
	dir := t.TempDir()
	config := fmt.Sprintf(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
log: {brokers: [%s], partitions: 2}
business_logic:
  - {domain: %s, address: "%s"}
`, `"`+strings.Join(b.Cluster.Brokers, `","`)+`"`, domain, address)
	if err := os.WriteFile(filepath.Join(dir, "angzarr.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	first := start(t, dir, "serve", "--config", "angzarr.yaml")
	door := first.wait(t, `msg=ready listen=(\S+)`)[1]
	first.wait(t, `took over a partition.*partition=0`)
	first.wait(t, `took over a partition.*partition=1`)

	root, answered := uuid.New(), make(chan error, 1)
	go func() { answered <- callOnce(t.Context(), door, domain, root) }()
	select {
	case <-logic.arrived:
	case err := <-answered:
		t.Fatalf("answered before business logic was asked: %v", err)
	}
	for range processes - 1 {
		other := start(t, dir, "serve", "--config", "angzarr.yaml")
		other.wait(t, "msg=ready")
		defer other.stop(t, syscall.SIGTERM)
	}
	first.stop(t, syscall.SIGTERM)
	if err := <-answered; err != nil {
		t.Errorf("the call under way got: %v", err)
	}
	pages := 0
	for _, r := range logtest.ReadCommitted(t, b.Cluster, log.EventsTopic(domain)) {
		if of, _, kind := log.ParseKey(r.Key); kind == log.KeyPage && of == log.Root(root) {
			pages++
		}
	}
	if pages != 1 {
		t.Errorf("the command has %d pages, want 1", pages)
	}
}

func callOnce(ctx context.Context, door, domain string, root uuid.UUID) error {
	conn, err := grpc.NewClient(door, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	payload, err := anypb.New(wrapperspb.String("do"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	answer, err := pb.NewBusinessCoordinatorClient(conn).Handle(ctx, &pb.CommandBook{
		Cover: &pb.Cover{Domain: domain, Root: &pb.UUID{Value: root[:]}},
		Pages: []*pb.CommandPage{{Command: payload}},
	})
	if err == nil && len(answer.GetBooks()[0].GetPages()) != 1 {
		err = fmt.Errorf("answered %v", answer)
	}
	return err
}

func after(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
