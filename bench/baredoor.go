package bench

import (
	"context"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// bareDoor hands a call to the worker that owns the root's partition.
type bareDoor struct {
	pb.UnimplementedBusinessCoordinatorServer
	owners *owners
}

func (d *bareDoor) Handle(ctx context.Context, book *pb.CommandBook) (*pb.SynchronousProcessingResponse, error) {
	key := book.GetCover().GetRoot().GetValue()
	if len(key) != len(root{}) {
		return nil, status.Error(codes.InvalidArgument, "cover.root: not 16 bytes")
	}
	partition := d.owners.partitioner.partition(key, len(d.owners.partitions))
	owner := d.owners.partitions[partition].Load()
	if owner == nil {
		return nil, status.Errorf(codes.Unavailable, "partition %d has no owner here", partition)
	}
	answer := make(chan *pb.EventBook, 1)
	owner.inbox.put(arrived{book: book, partition: partition, offset: -1, answer: answer})
	select {
	case book := <-answer:
		return &pb.SynchronousProcessingResponse{Books: []*pb.EventBook{book}}, nil
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// inbox holds what arrived since the last take.
type inbox struct {
	mu       sync.Mutex
	commands []arrived
	some     chan struct{}
}

func newInbox() inbox { return inbox{some: make(chan struct{}, 1)} }

func (b *inbox) put(command arrived) {
	b.mu.Lock()
	b.commands = append(b.commands, command)
	b.mu.Unlock()
	select {
	case b.some <- struct{}{}:
	default:
	}
}

// take returns nothing if ctx ends first.
func (b *inbox) take(ctx context.Context) []arrived {
	select {
	case <-b.some:
	case <-ctx.Done():
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	commands := b.commands
	b.commands = nil
	return commands
}
