package snapshots

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Inspection is what a Redis says of itself; of a cluster, its fullest node.
type Inspection struct {
	Version string
	// Used and Memory are bytes: what is taken, and maxmemory, 0 if it has no limit.
	Used, Memory int64
	// Ahead is how far its clock is ahead of this machine's, as far as it tells.
	Ahead time.Duration
}

// Inspect asks whether a Redis could hold the shelf, and changes nothing there. The
// error wraps [ErrRefused] if it answers and can't.
func Inspect(ctx context.Context, o Options) (Inspection, error) {
	o.Logger = slog.New(slog.DiscardHandler)
	s := connect(o)
	defer s.Close()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err := s.check(ctx)
	if err != nil && !errors.Is(err, ErrRefused) {
		err = s.otherwise(err)
	}
	if err != nil {
		return Inspection{}, err
	}
	var (
		mu    sync.Mutex
		found Inspection
	)
	inspect := func(ctx context.Context, node *redis.Client) error {
		one, err := inspectNode(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		if err == nil && (found.Version == "" || one.Used > found.Used) {
			found = one
		}
		return err
	}
	switch client := s.client.(type) {
	case *redis.ClusterClient:
		err = client.ForEachMaster(ctx, inspect)
	case *redis.Client:
		err = inspect(ctx, client)
	}
	return found, err
}

func inspectNode(ctx context.Context, node *redis.Client) (found Inspection, err error) {
	begun := time.Now()
	info, err := node.Info(ctx).Result()
	if err != nil {
		return found, fmt.Errorf("ask Redis about itself: %w", err)
	}
	asked := begun.Add(time.Since(begun) / 2)
	facts := factsOf(info)
	found.Version = facts["redis_version"]
	// A Redis that leaves these out has no limit.
	found.Used, _ = strconv.ParseInt(facts["used_memory"], 10, 64)
	found.Memory, _ = strconv.ParseInt(facts["maxmemory"], 10, 64)
	if clock, err := strconv.ParseInt(facts["server_time_usec"], 10, 64); err == nil {
		found.Ahead = time.UnixMicro(clock).Sub(asked)
	}
	return found, nil
}

// factsOf reads what INFO says.
func factsOf(info string) map[string]string {
	facts := make(map[string]string)
	for _, line := range strings.Split(info, "\r\n") {
		if key, value, ok := strings.Cut(line, ":"); ok {
			facts[key] = value
		}
	}
	return facts
}
