package bench

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// BareOptions are what a bare worker needs to know. Its topics are there.
type BareOptions struct {
	Brokers []string
	Domain  string
	// Listen is where it takes calls, and says by gRPC health that it owns
	// every partition.
	Listen string
	// Logic is the address of the business logic.
	Logic string
	// Topic makes it take commands from the topic instead of from calls.
	Topic bool
	// Workers is how many loops there are, each a member of the group with a
	// producer of its own.
	Workers int
	// Calls is how many calls to the logic each loop has under way at most.
	Calls int
}

// RunBare runs the yardstick until ctx ends, which is no error, or until
// anything goes wrong: it repairs nothing.
func RunBare(ctx context.Context, o BareOptions) error {
	connection, err := grpc.NewClient(o.Logic, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("bare: business logic: %w", err)
	}
	defer connection.Close()
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	defer listener.Close()

	owners, err := newOwners(ctx, o)
	if err != nil {
		return fmt.Errorf("bare: %w", err)
	}
	workers := make([]*bareWorker, o.Workers)
	for i := range workers {
		workers[i], err = newBareWorker(ctx, o, i, owners, pb.NewBusinessLogicClient(connection))
		if err != nil {
			return fmt.Errorf("bare: %w", err)
		}
		defer workers[i].close()
	}
	if err := owners.wait(ctx); err != nil {
		return fmt.Errorf("bare: %w", err)
	}

	server, ready := grpc.NewServer(), health.NewServer()
	pb.RegisterBusinessCoordinatorServer(server, &bareDoor{owners: owners})
	grpc_health_v1.RegisterHealthServer(server, ready)
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return server.Serve(listener) })
	all.Go(func() error { <-ctx.Done(); server.Stop(); return nil })
	for _, worker := range workers {
		all.Go(func() error { return worker.run(ctx) })
	}
	if err := all.Wait(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("bare: %w", err)
	}
	return nil
}

// owners says which worker of this process owns which partition.
type owners struct {
	topics      topics
	topicID     kadm.TopicID
	version     int16
	partitioner partitioner
	partitions  []atomic.Pointer[bareWorker]
}

func newOwners(ctx context.Context, o BareOptions) (*owners, error) {
	client, err := kgo.NewClient(clientOptions(o.Brokers)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	version, err := transactionVersion(ctx, client)
	if err != nil {
		return nil, err
	}
	names := topicsOf(o.Domain)
	found, err := kadm.NewClient(client).ListTopics(ctx, names.commands, names.events)
	if err != nil {
		return nil, fmt.Errorf("list topics of %s: %w", o.Domain, err)
	}
	commands, events := found[names.commands], found[names.events]
	if len(commands.Partitions) == 0 || len(commands.Partitions) != len(events.Partitions) {
		return nil, fmt.Errorf("topics of %s: %d partitions of commands, %d of events",
			o.Domain, len(commands.Partitions), len(events.Partitions))
	}
	return &owners{
		topics:      names,
		topicID:     commands.ID,
		version:     version,
		partitioner: newPartitioner(),
		partitions:  make([]atomic.Pointer[bareWorker], len(commands.Partitions)),
	}, nil
}

// assigned and lost follow the group; a partition's next owner may have been
// told before its last one.
func (o *owners) assigned(w *bareWorker, partitions []int32) {
	for _, partition := range partitions {
		o.partitions[partition].Store(w)
	}
}

func (o *owners) lost(w *bareWorker, partitions []int32) {
	for _, partition := range partitions {
		o.partitions[partition].CompareAndSwap(w, nil)
	}
}

// wait returns once every partition has an owner here.
func (o *owners) wait(ctx context.Context) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !o.complete() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (o *owners) complete() bool {
	for i := range o.partitions {
		if o.partitions[i].Load() == nil {
			return false
		}
	}
	return true
}
