package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/angzarr/angzarr-kafka/log/logtest"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// TestServeSynchronously has a door, owners, a projector and a saga in processes of
// their own, none of which is in another's configuration; the projector's is away
// for a while.
func TestServeSynchronously(t *testing.T) {
	b := logtest.Start(t)
	orders, stock := b.Domain("order"), b.Domain("stock")
	summary, fulfilment := b.Domain("summary"), b.Domain("fulfilment")
	server := grpc.NewServer()
	pb.RegisterBusinessLogicServer(server, &orderLogic{stock: stock})
	pb.RegisterSagaServer(server, reserving{stock: stock})
	pb.RegisterProjectorServer(server, lastEvent{})
	address, err := listenAndServe(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	dir := t.TempDir()
	brokers := `"` + strings.Join(b.Cluster.Brokers, `","`) + `"`
	serve := func(name, services string) *running {
		t.Helper()
		config := fmt.Sprintf("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: {brokers: [%s], partitions: 2}\nsynchronous_depth: 1\n%s\n", brokers, services)
		file := filepath.Join(dir, name+".yaml")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		r := start(t, dir, "serve", "--config", file)
		r.wait(t, `msg=ready`)
		return r
	}
	ports := freePorts(t, 2)
	deciding := serve("deciding", fmt.Sprintf(peersInsecure, ports[0])+fmt.Sprintf("\nbusiness_logic: [{domain: %s, address: %q}, {domain: %s, address: %[2]q}]", orders, address, stock))
	projector := fmt.Sprintf("projectors: [{name: %s, domains: [%s, %s], address: %q, synchronous: true}]", summary, orders, stock, address)
	projecting := serve("projecting", projector)
	reacting := serve("reacting", fmt.Sprintf("sagas: [{name: %s, domains: [%s], address: %q, synchronous: true}]", fulfilment, orders, address))
	door := serve("door", fmt.Sprintf(peersInsecure, ports[1]))
	conn, err := grpc.NewClient(door.wait(t, `msg=ready listen=(\S+)`)[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	coordinator := pb.NewBusinessCoordinatorClient(conn)
	order := func(root uuid.UUID, what string, patience time.Duration) (*pb.SynchronousProcessingResponse, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return coordinator.Handle(ctx, &pb.CommandBook{
			Cover: &pb.Cover{Domain: orders, Root: &pb.UUID{Value: root[:]}}, CommandId: "order of " + root.String(),
			Pages: []*pb.CommandPage{{Command: says("order %s", what), Synchronous: true}},
		})
	}
	for what, want := range map[string]string{
		"lamp":    "order lamp done; reserve lamp done; projected: order lamp done; projected: reserve lamp done",
		"nothing": "order nothing done; cancelled: short of it; projected: cancelled: short of it",
	} {
		answer, err := order(uuid.New(), what, 30*time.Second)
		if got := allSaid(answer); err != nil || got != want {
			t.Fatalf("answered %s, %v; want %s", got, err, want)
		}
	}

	answer, err := order(uuid.New(), "lamp", 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	projection, err := pb.NewProjectorCoordinatorClient(conn).HandleSync(ctx, answer.Books[0])
	if err != nil || said(projection.Projection) != "order lamp done" {
		t.Errorf("ProjectorCoordinator: %v, %v", projection, err)
	}
	found, err := pb.NewSagaCoordinatorClient(conn).HandleSync(ctx, answer.Books[0])
	if got := allSaid(found); err != nil || got != "reserve lamp done; projected: reserve lamp done" || len(found.GetCommands()) != 1 {
		t.Errorf("SagaCoordinator: %s, %v", got, err)
	}

	projecting.stop(t, syscall.SIGTERM)
	root := uuid.New()
	for patience := time.Second; ; patience *= 2 { // a slow machine gets more time
		_, err := order(root, "lamp", patience)
		if status.Code(err) == codes.DeadlineExceeded && committed(status.Convert(err)) {
			break
		}
		if patience > 20*time.Second {
			t.Fatalf("without a projector: %v", err)
		}
	}
	projecting = serve("projecting", projector)
	answer, err = order(root, "lamp", 30*time.Second)
	want := "order lamp done; reserve lamp done; projected: order lamp done; projected: reserve lamp done"
	if got := allSaid(answer); err != nil || got != want {
		t.Errorf("the same again: %s, %v", got, err)
	}
	for _, r := range []*running{door, reacting, projecting, deciding} {
		r.stop(t, syscall.SIGTERM)
	}
}

func allSaid(a *pb.SynchronousProcessingResponse) string {
	var all []string
	for _, b := range a.GetBooks() {
		for _, p := range b.Pages {
			all = append(all, said(p.Event))
		}
	}
	for _, p := range a.GetProjections() {
		all = append(all, "projected: "+said(p.Projection))
	}
	return strings.Join(all, "; ")
}
