package main

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// asked are the kinds of requests that processes make of the broker while they
// serve and partitions move.
var asked = []kmsg.Key{
	kmsg.ApiVersions, kmsg.Metadata, kmsg.FindCoordinator,
	kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.DescribeGroups, kmsg.OffsetFetch,
	kmsg.ListTransactions, kmsg.ListOffsets, kmsg.Fetch,
	kmsg.InitProducerID, kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn,
}

// The connection breaks at every kind of request, once before the broker has
// acted and once after, while workers are evicted and come back: no caller hears
// of it, and every command has its page once.
func TestDeploymentLosesEveryKindOfRequest(t *testing.T) {
	t.Parallel()
	forBoth(t, func(t *testing.T, peers string) {
		d := deployBy(t, 2, peers, withEcho, onWires(t))
		d.shared()
		l := d.load(20 * time.Second)
		for some := range slices.Chunk(asked, 3) {
			lost := make([]atomic.Int32, len(some))
			for i, key := range some {
				for _, s := range d.sidecar {
					s.wire.On(key, func(kmsg.Request) logtest.Fate {
						switch lost[i].Add(1) {
						case 1:
							return logtest.LosesItself
						case 2:
							return logtest.LosesAnswer
						}
						return logtest.Passes
					})
				}
			}
			var names []string
			for _, key := range some {
				names = append(names, key.Name())
			}
			done := func() bool {
				for i := range lost {
					if lost[i].Load() < 2 {
						return false
					}
				}
				return true
			}
			turn, evicted := 0, time.Time{}
			d.until(strings.Join(names, ", ")+" were lost twice", func() bool {
				// Some are asked only when partitions move.
				if !done() && time.Since(evicted) > 2*time.Second {
					// From a group at rest: the embedded broker never answers one
					// who is taken out while it joins.
					d.shared()
					d.evict(turn)
					turn, evicted = turn+1, time.Now()
				}
				return done()
			})
			l.more(20)
		}
		d.shared()
		l.audit()
		d.end()
	})
}

// evict takes one of the workers out of its group, in turn, if they are there.
func (d *deployment) evict(turn int) {
	d.Helper()
	roster, group := partitioning.NewRoster(d.client), log.Group(d.domain)
	all, err := roster.Members(d.Context(), group)
	if err != nil || len(all) < 2 {
		return
	}
	if _, err := roster.Evict(d.Context(), group, all[turn%2:][:1], "in a test"); err != nil {
		d.Error(err)
	}
}
