package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/bench/usage"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// projection is one run of one side.
type projection struct {
	*projects
	side  string
	name  string // the projector's
	front string // where serve answers
	child *child
	calls *called
}

// measure is one run of one side, with a projector of its own.
func (p *projects) measure(ctx context.Context, side string, number int) (result ProjectResult, err error) {
	calls := &called{answer: newFiller().payload(max(p.Size, smallestPayload), stamp{}), of: make(map[string]*count)}
	if side == SideFailing {
		calls.failing = string(p.roots[0][:])
	}
	run := &projection{projects: p, side: side, calls: calls, name: p.domain.Name + "-" + side + "-" + strconv.Itoa(number)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return result, err
	}
	server := grpc.NewServer(grpc.NumStreamWorkers(64))
	pb.RegisterProjectorServer(server, calls)
	go server.Serve(listener) //nolint:errcheck // it ends with the run
	defer server.Stop()
	driving, died := context.WithCancelCause(ctx)
	defer died(nil)
	defer func() { err = errors.Join(err, run.sweep(context.WithoutCancel(ctx))) }()
	first := calls.begin("", p.others(side))
	if err := run.start(driving, listener.Addr().String(), died); err != nil {
		return result, err
	}
	err = run.drive(driving, first, &result)
	if err != nil && driving.Err() != nil {
		err = context.Cause(driving)
	}
	return result, errors.Join(err, run.child.stop())
}

// others is how many events are not the failing root's.
func (p *projects) others(side string) int {
	if side == SideFailing {
		return p.total - int(p.pages[p.roots[0]])
	}
	return p.total
}

// start starts the side's process.
func (r *projection) start(ctx context.Context, service string, died func(error)) (err error) {
	addresses, err := freeAddresses(2)
	if err != nil {
		return err
	}
	r.front = addresses[0]
	type object = map[string]any
	var config any = object{
		"listen": addresses[0], "admin": addresses[1],
		"log":        object{"type": "kafka", "brokers": r.Brokers, "partitions": r.Partitions, "replication_factor": r.Replication},
		"projectors": []object{{"name": r.name, "domains": []string{r.domain.Name}, "address": service}},
	}
	command := []string{"serve"}
	if r.side == SideBare {
		if _, err := log.EnsureProjections(ctx, r.client, r.name, log.TopicSettings{Partitions: r.Partitions, ReplicationFactor: r.Replication}); err != nil {
			return err
		}
		command = []string{"bench", "bare-projector"}
		config = BareProjectorOptions{Brokers: r.Brokers, Domain: r.domain.Name, Name: r.name, Service: service, Calls: r.Calls, Poll: r.Poll}
	}
	content, err := json.Marshal(config)
	if err != nil {
		return err
	}
	file := filepath.Join(r.folder, r.name+".yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return err
	}
	r.child, err = start(r.Child, died, r.Binary, append(command, "--config", file)...)
	return err
}

func (r *projection) usage() usage.Usage { return usage.Of(r.child.command.Process.Pid) }

// drive waits until all was called for, and what it led to can be read.
func (r *projection) drive(ctx context.Context, first *count, result *ProjectResult) error {
	if err := first.wait(ctx, nil); err != nil {
		return err
	}
	used := r.usage()
	result.PerSecond, result.Together = first.rate(), first.together()
	result.CPUMicros = float64(used.CPU.Microseconds()) / float64(first.all)
	result.RSSMiB = usage.MiB(used.RSS)
	if err := r.audit(ctx); err != nil {
		return err
	}
	if r.Probes > 0 && r.side != SideFailing {
		var err error
		if result.Latency, err = r.probe(ctx); err != nil {
			return fmt.Errorf("probes: %w", err)
		}
	}
	if r.Rebuild && r.side == SideOurs {
		if err := r.rebuild(ctx, result); err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
		return r.audit(ctx)
	}
	return nil
}

// audit waits until the projections that can be read cover all events.
func (r *projection) audit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	topic := log.ProjectionsTopic(r.name)
	for {
		ends, err := log.HighWatermarks(ctx, r.client, topic)
		if err != nil {
			return err
		}
		spans := make(map[int32]log.Span)
		for p, end := range ends {
			spans[p] = log.Span{To: end}
		}
		covered := make(map[root]uint32)
		err = log.Cluster{Brokers: r.Brokers}.Scan(ctx, topic, spans, func(record *log.Record) error {
			p := &pb.Projection{}
			err := proto.Unmarshal(record.Value, p) // of nothing: it covers nothing
			covered[root(record.Key)] = p.Sequence
			return err
		})
		if err != nil {
			return err
		}
		short := 0
		for root, n := range r.pages {
			if covered[root] != n && (r.side != SideFailing || root != r.roots[0]) {
				short++
			}
		}
		if short == 0 {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("audit: the projections of %d aggregates of %d don't cover all their events", short, len(r.pages))
		}
	}
}

// probeEvery is how often an event is written to an idle system.
const probeEvery = 50 * time.Millisecond

// probe writes events one by one, each of a root of its own, and waits for its
// projection.
func (r *projection) probe(ctx context.Context) (Latency, error) {
	topic := log.ProjectionsTopic(r.name)
	ends, err := log.HighWatermarks(ctx, r.client, topic)
	if err != nil {
		return Latency{}, err
	}
	from := make(map[int32]kgo.Offset)
	for p, end := range ends {
		from[p] = kgo.NewOffset().At(end)
	}
	reader, err := kgo.NewClient(clientOptions(r.Brokers, kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))...)
	if err != nil {
		return Latency{}, err
	}
	defer reader.Close()
	writer, err := kgo.NewClient(clientOptions(r.Brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))...)
	if err != nil {
		return Latency{}, err
	}
	defer writer.Close()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var took []time.Duration
	const warm = 10
	for i := range r.Probes + warm {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return Latency{}, ctx.Err()
		}
		page := log.Page{
			Root: log.Root(uuid.New()), Sequence: 1, CreatedAt: time.Now(), TypeURL: payloadType,
			Value: r.calls.answer.Value, Cause: log.Cause{CommandID: uuid.NewString()},
		}
		record := page.Encode(r.domain.Name, partitioning.Of(page.Root, r.domain.Partitions))
		if err := writer.ProduceSync(ctx, record.ToClient()).FirstErr(); err != nil {
			return Latency{}, err
		}
		begun := time.Now()
		r.pages[root(page.Root)], r.total = 1, r.total+1
		if err := seen(ctx, reader, page.Root); err != nil {
			return Latency{}, err
		}
		if i >= warm {
			took = append(took, time.Since(begun))
		}
	}
	return newLatency(took), nil
}

// seen waits until a root's projection can be read.
func seen(ctx context.Context, reader *kgo.Client, wanted log.Root) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for r := range fetches.RecordsAll() {
			if string(r.Key) == string(wanted[:]) {
				return nil
			}
		}
	}
}

// rebuild has the projector made anew.
func (r *projection) rebuild(ctx context.Context, result *ProjectResult) error {
	conn, err := grpc.NewClient(r.front, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	projectors := pb.NewProjectorsClient(conn)
	second := r.calls.begin("2", r.total)
	if _, err := projectors.Steer(ctx, &pb.SteerProjectorRequest{Projector: r.name, Order: pb.SteerProjectorRequest_ORDER_REBUILD}); err != nil {
		return err
	}
	early := int64(0)
	err = second.wait(ctx, func(done float64) {
		rss := r.usage().RSS
		if done >= .2 && early == 0 {
			early = rss
		}
		if early > 0 {
			result.RebuildPeakMiB = max(result.RebuildPeakMiB, usage.MiB(rss))
		}
	})
	if err != nil {
		return err
	}
	result.RebuildPerSecond, result.RebuildEarlyMiB = second.rate(), usage.MiB(early)
	begun := time.Now()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		answer, err := projectors.List(ctx, &pb.ListProjectorsRequest{Projector: r.name})
		if err != nil {
			return err
		}
		if answer.Projectors[0].State.Version == 2 {
			result.SwitchSeconds = time.Since(begun).Seconds()
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sweep removes what the run has left at the brokers.
func (r *projection) sweep(ctx context.Context) error {
	topics := []string{log.ProjectionsTopic(r.name), log.StagedProjectionsTopic(r.name, 2)}
	if _, err := r.admin.DeleteTopics(ctx, topics...); err != nil {
		return fmt.Errorf("delete %v: %w", topics, err)
	}
	return nil
}
