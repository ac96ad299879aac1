package bench

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// called is a projector that counts what it is called for.
type called struct {
	pb.UnimplementedProjectorServer
	answer  *anypb.Any
	failing string // a root on which it fails, "" for none

	mu sync.Mutex
	of map[string]*count // by version
}

// count is what a version was called for.
type count struct {
	mu     sync.Mutex
	all    int // what is waited for
	events int
	calls  int
	warm   time.Time // a tenth was there, and from here on it counts
	last   time.Time
	done   chan struct{}
}

func (c *called) begin(version string, all int) *count {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[version] = &count{all: all, done: make(chan struct{})}
	return c.of[version]
}

func (c *called) count(version string) *count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[version]
}

// HandleSync answers a projection of always the same size.
func (c *called) HandleSync(ctx context.Context, b *pb.EventBook) (*pb.Projection, error) {
	if c.failing != "" && string(b.Cover.Root.Value) == c.failing {
		return nil, status.Error(codes.Internal, "this one fails")
	}
	version := ""
	if in, _ := metadata.FromIncomingContext(ctx); len(in.Get("angzarr-projector-version")) > 0 {
		version = in.Get("angzarr-projector-version")[0]
	}
	if n := c.count(version); n != nil {
		n.add(len(b.Pages))
	}
	return &pb.Projection{Projection: c.answer}, nil
}

func (c *count) add(events int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.events
	c.events += events
	c.calls++
	now := time.Now()
	if before < c.all/10 && c.events >= c.all/10 {
		c.warm = now
	}
	if before < c.all && c.events >= c.all {
		c.last = now
		close(c.done)
	}
}

// wait waits until all came, and looks now and then.
func (c *count) wait(ctx context.Context, look func(done float64)) error {
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-c.done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-again.C:
		}
		if look != nil {
			c.mu.Lock()
			done := float64(c.events) / float64(c.all)
			c.mu.Unlock()
			look(done)
		}
	}
}

// rate is in events a second, without the first tenth.
func (c *count) rate() float64 {
	return float64(c.all-c.all/10) / c.last.Sub(c.warm).Seconds()
}

func (c *count) together() float64 { return float64(c.events) / float64(c.calls) }
