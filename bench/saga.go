package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"

	"github.com/angzarr/angzarr-kafka/log"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// hopSaga answers each event with one command to another domain's aggregate of the
// same root, with the event's own bytes.
type hopSaga struct {
	pb.UnimplementedSagaServer
	to string // the domain
}

func (s *hopSaga) HandleSync(_ context.Context, b *pb.EventBook) (*pb.SynchronousProcessingResponse, error) {
	answer := &pb.SynchronousProcessingResponse{}
	for _, page := range b.Pages {
		answer.Commands = append(answer.Commands, &pb.CommandBook{
			Cover: &pb.Cover{Domain: s.to, Root: b.Cover.Root}, Pages: []*pb.CommandPage{{Command: page.Event}},
		})
	}
	return answer, nil
}

// hop is one run of one side: events in a domain's topic, which become another
// domain's commands.
type hop struct {
	Options
	id, side string
	from, to log.Domain
	folder   string
	client   *kgo.Client
	filler   filler
}

// RunSaga measures how fast a saga works off events that are there: side after
// side, run after run. The first run that fails, or whose log is not what the
// events must lead to, ends it with an error.
func RunSaga(ctx context.Context, o Options) (*Report, error) {
	if err := o.checkSaga(); err != nil {
		return nil, err
	}
	report := newReport(o)
	if len(o.Brokers) == 0 {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return nil, fmt.Errorf("start the embedded broker: %w", err)
		}
		defer cluster.Close()
		o.Brokers, o.Replication = cluster.ListenAddrs(), 1
	}
	folder, err := os.MkdirTemp("", "angzarr-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	client, err := kgo.NewClient(clientOptions(o.Brokers)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	sides := map[string][]string{SideBoth: {SideOurs, SideBare}}[o.Sides]
	if sides == nil {
		sides = []string{o.Sides}
	}
	id, filler := uuid.NewString()[:8], newFiller()
	for number := range o.Runs {
		for _, side := range sides {
			h := &hop{Options: o, id: "bench-" + id + "-" + side + "-" + strconv.Itoa(number+1), side: side, folder: folder, client: client, filler: filler}
			result, err := h.run(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s, run %d: %w", side, number+1, err)
			}
			o.Log.Info("run", "side", side, "number", number+1, "per_second", int(result.PerSecond), "cpu_us", int(result.CPUMicros))
			report.add(side, result)
		}
	}
	report.summarize()
	return report, nil
}

func (o Options) checkSaga() error {
	// What a saga's run has not is taken for given.
	o.Callers, o.Connections, o.Outstanding, o.SnapshotEvery, o.Workers, o.Duration = 1, 1, 1, 1, 1, time.Second
	if o.Events < 100 {
		return fmt.Errorf("events: %d, must be at least 100", o.Events)
	}
	return o.Check()
}

func (h *hop) run(ctx context.Context) (result Result, err error) {
	admin := kadm.NewClient(h.client)
	defer func() {
		err = errors.Join(err, deleteTopics(context.WithoutCancel(ctx), admin, h.id+"-from"), deleteTopics(context.WithoutCancel(ctx), admin, h.id+"-to"))
	}()
	settings := log.TopicSettings{Partitions: h.Partitions, ReplicationFactor: h.Replication}
	if h.from, err = log.EnsureDomain(ctx, h.client, h.id+"-from", settings); err != nil {
		return result, err
	}
	if h.to, err = log.EnsureDomain(ctx, h.client, h.id+"-to", settings); err != nil {
		return result, err
	}
	if err := h.fill(ctx); err != nil {
		return result, fmt.Errorf("fill the domain: %w", err)
	}
	address, stop, err := serveSaga(&hopSaga{to: h.to.Name})
	if err != nil {
		return result, err
	}
	defer stop()
	driving, died := context.WithCancelCause(ctx)
	defer died(nil)
	child, err := h.start(address, died)
	if err != nil {
		return result, err
	}
	result, err = h.watch(driving, child.command.Process.Pid)
	if err != nil && driving.Err() != nil {
		err = context.Cause(driving)
	}
	if err := errors.Join(err, child.stop()); err != nil {
		return result, err
	}
	return result, h.audit(ctx)
}

// fill writes the events, a root's far from each other.
func (h *hop) fill(ctx context.Context) error {
	client, err := kgo.NewClient(clientOptions(h.Brokers, kgo.TransactionalID(h.id),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(4*inTransaction))...)
	if err != nil {
		return err
	}
	defer client.Close()
	f := &filling{client: client, domain: h.from}
	roots := newRoots(rand.Uint64(), h.Aggregates)
	for i := range h.Events {
		f.payload = h.filler.payload(h.Size, stamp{time.Now(), uint64(i)}).Value
		if err := f.add(ctx, uuid.UUID(roots[i%len(roots)]), uint32(i/len(roots)+1)); err != nil {
			return err
		}
	}
	return f.commit(ctx)
}

func serveSaga(s *hopSaga) (address string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("saga: %w", err)
	}
	server := grpc.NewServer()
	pb.RegisterSagaServer(server, s)
	go server.Serve(listener) //nolint:errcheck // ends with Stop, and has no other end on loopback
	return listener.Addr().String(), server.Stop, nil
}

// start starts the side's process.
func (h *hop) start(saga string, died func(error)) (*child, error) {
	command := []string{"bench", "bare-saga"}
	var config any = BareSagaOptions{
		Brokers: h.Brokers, From: h.from.Name, To: h.to.Name, Saga: saga, Calls: h.Calls,
	}
	if h.side == SideOurs {
		addresses, err := freeAddresses(2)
		if err != nil {
			return nil, err
		}
		type object = map[string]any
		command = []string{"serve"}
		config = object{
			"listen": addresses[0], "admin": addresses[1],
			"log": object{
				"type": "kafka", "brokers": h.Brokers, "partitions": h.Partitions, "replication_factor": h.Replication,
			},
			"sagas": []object{{"name": h.id, "domains": []string{h.from.Name}, "address": saga}},
		}
	}
	content, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(h.folder, h.id+".yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, err
	}
	return start(h.Child, died, h.Binary, append(command, "--config", file)...)
}
