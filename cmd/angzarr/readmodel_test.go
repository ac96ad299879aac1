package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	inventorypb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// readModel is the example in Python, and the log that it is compared with.
type readModel struct {
	*shop
	python   string
	stubs    string
	database string
}

func newReadModel(t *testing.T) *readModel {
	python := os.Getenv("ANGZARR_TEST_PYTHON")
	if python == "" {
		t.Skip("needs a Python with examples/readmodel-python/requirements.txt: set ANGZARR_TEST_PYTHON to what deploy/kafka/python prints")
	}
	m := &readModel{shop: newShop(t, ""), python: python, stubs: t.TempDir()}
	m.database = filepath.Join(m.dir, "stock.db")
	generate := exec.CommandContext(t.Context(), "../../examples/readmodel-python/generate", m.stubs)
	generate.Env = append(os.Environ(), "PYTHON="+python)
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("make the stubs: %v\n%s", err, out)
	}
	return m
}

func (m *readModel) command(args ...string) *exec.Cmd {
	cmd := exec.Command(m.python, append([]string{"../../examples/readmodel-python/readmodel.py", "--database", m.database, "--domain", m.domain}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+m.stubs, "PYTHONDONTWRITEBYTECODE=1")
	return cmd
}

func (m *readModel) kill(r *running) {
	m.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		m.Fatalf("it has ended by itself: %v\n%s", err, r.all())
	}
	<-r.ended
}

// stocked is a product, as the model has it.
type stocked struct {
	Root     uuid.UUID
	Last     uint32
	SKU      string
	Name     string
	OnHand   int64 `json:"on_hand"`
	Reserved int64
}

// shown is what the model has.
func (m *readModel) shown() map[uuid.UUID]stocked {
	m.Helper()
	out, err := m.command("show").Output()
	if err != nil {
		m.Fatalf("show: %v", err)
	}
	rows := make(map[uuid.UUID]stocked)
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var p stocked
		if err := decoder.Decode(&p); err != nil {
			m.Fatalf("show: %v\n%s", err, out)
		}
		rows[p.Root] = p
	}
	return rows
}

// logged is what the log has.
func (m *readModel) logged() map[uuid.UUID]stocked {
	m.Helper()
	rows := make(map[uuid.UUID]stocked)
	for _, k := range logtest.ReadCommitted(m, m.broker.Cluster, log.EventsTopic(m.domain)) {
		root, _, kind := log.ParseKey(k.Key)
		id := uuid.UUID(root)
		if kind == log.KeyErased {
			delete(rows, id)
		}
		if kind != log.KeyPage || k.Value == nil {
			continue
		}
		r := log.FromClient(k)
		page, err := log.DecodePage(&r)
		if err != nil {
			m.Fatal(err)
		}
		p := rows[id]
		p.Root, p.Last = id, page.Sequence
		event, err := (&anypb.Any{TypeUrl: page.TypeURL, Value: page.Value}).UnmarshalNew()
		if err != nil {
			m.Fatal(err)
		}
		switch e := event.(type) {
		case *inventorypb.ProductCreated:
			p.SKU, p.Name, p.OnHand = e.Sku, e.Name, int64(e.Quantity)
		case *inventorypb.StockAdjusted:
			p.OnHand += int64(e.Delta)
		case *inventorypb.StockReserved:
			p.Reserved += int64(e.Quantity)
		case *inventorypb.ReservationCommitted:
			p.OnHand -= int64(e.Quantity)
			p.Reserved -= int64(e.Quantity)
		case *inventorypb.ReservationReleased:
			p.Reserved -= int64(e.Quantity)
		}
		rows[id] = p
	}
	return rows
}

// equals waits until the model is what the log says.
func (m *readModel) equals(log map[uuid.UUID]stocked) {
	m.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for late := time.After(30 * time.Second); ; {
		shown := m.shown()
		var wrong []string
		for root, want := range log {
			if shown[root] != want {
				wrong = append(wrong, fmt.Sprintf("%v, the log says %v", shown[root], want))
			}
		}
		if len(wrong) == 0 && len(shown) == len(log) {
			return
		}
		select {
		case <-again.C:
		case <-late:
			m.Fatalf("%d products, the log has %d:\n%s", len(shown), len(log), strings.Join(wrong, "\n"))
		}
	}
}

// apply has a command applied, by a door that may be on its way to another owner.
func (m *readModel) apply(conn *grpc.ClientConn, root uuid.UUID, command proto.Message) {
	book := &pb.CommandBook{Cover: m.cover(root), CommandId: uuid.NewString(), Pages: []*pb.CommandPage{{Command: m.any(command)}}}
	for m.Context().Err() == nil {
		ctx, cancel := context.WithTimeout(m.Context(), 10*time.Second)
		_, err := pb.NewBusinessCoordinatorClient(conn).Handle(ctx, book)
		cancel()
		switch status.Code(err) {
		case codes.OK:
			return
		case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		default:
			m.Errorf("%T: %v", command, err)
			return
		}
	}
}

func (m *readModel) cover(root uuid.UUID) *pb.Cover {
	return &pb.Cover{Domain: m.domain, Root: &pb.UUID{Value: root[:]}}
}

func (m *readModel) erase(conn *grpc.ClientConn, root uuid.UUID) {
	m.Helper()
	if _, err := pb.NewErasureClient(conn).Erase(m.Context(), &pb.EraseRequest{Cover: m.cover(root), CommandId: uuid.NewString()}); err != nil {
		m.Fatal(err)
	}
}

// write makes products, and changes them, until it is told to stop.
func (m *readModel) write(conn *grpc.ClientConn, seed uint64, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(seed, 1))
	var roots []uuid.UUID
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-m.Context().Done():
			return
		default:
		}
		if len(roots) < 5 || rng.IntN(10) == 0 {
			root := uuid.New()
			m.apply(conn, root, &inventorypb.CreateProduct{Sku: fmt.Sprint("SKU-", n), Name: "Lämp", Quantity: 1000})
			roots = append(roots, root)
			continue
		}
		root, order := roots[rng.IntN(len(roots))], fmt.Sprint("order-", seed, "-", n)
		m.apply(conn, root, &inventorypb.AdjustStock{Delta: 1 + rng.Int32N(5), Reason: "found"})
		m.apply(conn, root, &inventorypb.ReserveStock{OrderId: order, Quantity: 1})
		if rng.IntN(2) == 0 {
			m.apply(conn, root, &inventorypb.CommitReservation{OrderId: order})
		} else {
			m.apply(conn, root, &inventorypb.ReleaseReservation{OrderId: order})
		}
	}
}

// The example of a read model in another language: it is killed in its rebuild and
// while it follows, the server that it asks is restarted, products are written and
// erased all the time, and in the end it is what the log says.
func TestReadModelInPython(t *testing.T) {
	t.Parallel()
	m := newReadModel(t)
	process, asked := m.serve("127.0.0.1:0")
	_, written := m.serve("127.0.0.1:0")
	conn := m.dial(written)
	var before []uuid.UUID
	for n := range 40 {
		root := uuid.New()
		m.apply(conn, root, &inventorypb.CreateProduct{Sku: fmt.Sprint("OLD-", n), Name: "Lamp", Quantity: 10})
		m.apply(conn, root, &inventorypb.AdjustStock{Delta: 5, Reason: "found"})
		before = append(before, root)
	}
	m.erase(conn, before[0])
	stop := make(chan struct{})
	var all sync.WaitGroup
	for seed := range uint64(2) {
		all.Go(func() { m.write(conn, seed, stop) })
	}
	follow := func() *running { return startCommand(t, m.command("follow", "--server", asked)) }

	r := follow()
	r.wait(t, `(?s)(loaded .*){10}`)
	m.kill(r)
	if strings.Contains(r.all(), "rebuilt") {
		t.Fatal("it was killed after its rebuild, not in it")
	}
	m.erase(conn, before[1])
	r = follow()
	r.wait(t, `rebuilt from \d+ products`)
	r.wait(t, `(?s)(followed .*){20}`)
	m.kill(r)
	m.erase(conn, before[2])
	r = follow()
	r.wait(t, `caught up`)
	if strings.Contains(r.all(), "rebuilt") {
		t.Error("it has made the model anew, though it had a checkpoint")
	}
	process.stop(t, syscall.SIGTERM)
	r.wait(t, `goes on in a moment`)
	m.serve(asked)
	r.wait(t, `(?s)goes on in a moment.*caught up`)
	m.erase(conn, before[3])
	close(stop)
	all.Wait()

	want := m.logged()
	for i, root := range before {
		if _, there := want[root]; there != (i > 3) {
			t.Fatalf("product %d is in the log: %v", i, there)
		}
	}
	m.equals(want)
	m.kill(r)
	m.equals(want)
}
