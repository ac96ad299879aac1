// Package doctor looks for what is wrong with a deployment, or will be, before it
// does harm: the cluster's settings, topics, groups and open transactions, Redis,
// clocks, processes and services.
//
//	Examine ──► brokers, topics, groups ──► judge… ──► Finding: what it is about,
//	            Redis, peers, services                 what is so, what to do
//
// Invariants:
//   - It changes nothing, anywhere.
//   - Each finding that is not fine says what to do about it.
//   - What can't be asked is told as that, and hides nothing else.
//   - How things are judged are plain functions of what was found.
package doctor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/credentials"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/snapshots"
)

// Level is how bad something is.
type Level string

// The levels.
const (
	Fine   Level = "fine"
	Advice Level = "advice" // it works, and could be better or safer
	Wrong  Level = "wrong"
)

// Finding is one thing that was looked at.
type Finding struct {
	Level Level
	About string // "broker 1", "topic angzarr.inventory.events"
	Says  string
	Do    string // what to do, "" if it is fine
}

// Service is one that people write.
type Service struct {
	Title   string // "business logic of inventory"
	Address string
	Serves  string // "angzarr.BusinessLogic"
}

// Options say what there is to look at.
type Options struct {
	Cluster log.Cluster
	// Redis is nil where there is no shelf.
	Redis    *snapshots.Options
	Services []Service
	// Peers are how processes speak with each other; nil if that is not known, and
	// then it is only tried whether they can be reached.
	Peers credentials.TransportCredentials
}

// patience bounds each question to what may not answer.
const patience = 3 * time.Second

// Examine looks at everything. The error says that the cluster could not be
// asked at all.
func Examine(ctx context.Context, o Options) ([]Finding, error) {
	admin, err := o.Cluster.NewAdmin("angzarr-doctor")
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	all, err := examineCluster(ctx, o, admin)
	if err != nil {
		return nil, err
	}
	return append(all, examineOthers(ctx, o, admin)...), nil
}

// examineCluster asks the brokers.
func examineCluster(ctx context.Context, o Options, admin *log.Admin) ([]Finding, error) {
	brokers, err := admin.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	topics, err := admin.Topics(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	retention := span(brokers, "offsets.retention.minutes", time.Minute, least)
	all := append(judgeBrokers(brokers), judgeTopics(topics, len(brokers), retention)...)
	all = append(all, judgeWriters(topics, now)...)

	groups, err := groupsOf(ctx, o.Cluster, admin, topics)
	if err != nil {
		all = append(all, unasked("groups", err))
	}
	all = append(all, judgeGroups(groups, now)...)
	open, err := partitioning.OpenTransactions(ctx, admin.Client(), log.GroupPrefix)
	if err != nil {
		return append(all, unasked("transactions", err)), nil
	}
	return append(all, judgeTransactions(open, now)...), nil
}

// examineOthers asks all else, at the same time.
func examineOthers(ctx context.Context, o Options, admin *log.Admin) []Finding {
	var mu sync.Mutex
	parts := make(map[int][]Finding)
	var asking errgroup.Group
	n := 0
	ask := func(f func(context.Context) []Finding) {
		at := n
		n++
		asking.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, 2*patience)
			defer cancel()
			found := f(ctx)
			mu.Lock()
			defer mu.Unlock()
			parts[at] = found
			return nil
		})
	}
	if o.Redis != nil {
		ask(func(ctx context.Context) []Finding { return examineRedis(ctx, *o.Redis) })
	}
	ask(func(ctx context.Context) []Finding { return examinePeers(ctx, admin, o.Peers) })
	for _, s := range o.Services {
		ask(func(ctx context.Context) []Finding { return []Finding{examineService(ctx, s)} })
	}
	_ = asking.Wait() // what fails is a finding
	var all []Finding
	for i := range n {
		all = append(all, parts[i]...)
	}
	return all
}

// unasked tells what could not be found out.
func unasked(about string, err error) Finding {
	return Finding{Advice, about, fmt.Sprintf("could not be asked: %v", err), "let this user describe them, or ask as one who may"}
}
