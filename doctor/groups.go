package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
)

// group is what is to be judged of a group.
type group struct {
	name      string
	topic     string
	processes int
	unowned   []int32
	// forgotten partitions hold records, and have no committed offset.
	forgotten []int32
	since     time.Time // when the oldest record that waits was written
}

// groupsOf finds all groups, and those of domains that have none.
func groupsOf(ctx context.Context, cluster log.Cluster, admin *log.Admin, topics []log.TopicState) ([]group, error) {
	standings, err := partitioning.Standings(ctx, cluster, log.GroupPrefix)
	if err != nil {
		return nil, err
	}
	var all []group
	for _, domain := range domainsOf(topics) {
		g := group{name: log.Group(domain), topic: log.CommandsTopic(domain)}
		if g.forgotten, err = forgotten(ctx, admin, g); err != nil {
			return all, err
		}
		all = append(all, g)
	}
	at := make(map[string]int)
	for i, g := range all {
		at[g.name+" "+g.topic] = i
	}
	owners := make(map[string]map[partitioning.Identity]bool)
	for _, s := range standings {
		key := s.Group + " " + s.Topic
		if _, known := at[key]; !known {
			at[key] = len(all)
			all = append(all, group{name: s.Group, topic: s.Topic})
		}
		g := &all[at[key]]
		if !s.Owned {
			g.unowned = append(g.unowned, s.Partition)
		} else {
			if owners[key] == nil {
				owners[key] = make(map[partitioning.Identity]bool)
			}
			owners[key][s.Owner] = true
			g.processes = len(owners[key])
		}
		if !s.Since.IsZero() && (g.since.IsZero() || s.Since.Before(g.since)) {
			g.since = s.Since
		}
	}
	return all, nil
}

// forgotten gives the partitions whose place the group doesn't know any more.
func forgotten(ctx context.Context, admin *log.Admin, g group) (partitions []int32, err error) {
	ends, err := admin.HighWatermarks(ctx, g.topic)
	if err != nil {
		return nil, err
	}
	committed, err := admin.Committed(ctx, g.name, g.topic)
	if err != nil {
		return nil, err
	}
	for partition := range int32(len(ends)) {
		if at, known := committed[partition]; ends[partition] > 0 && (!known || at < 0) {
			partitions = append(partitions, partition)
		}
	}
	return partitions, nil
}

// longWait is how long a record may wait before it is worth a word.
const longWait = time.Minute

func judgeGroups(groups []group, now time.Time) (all []Finding) {
	for _, g := range groups {
		about := "group " + g.name
		before := len(all)
		if len(g.forgotten) > 0 {
			all = append(all, Finding{Wrong, about, fmt.Sprintf("has no committed offset of partitions %v of %s, which have held commands: it was idle for longer than offsets are kept, and a start is refused", g.forgotten, g.topic),
				"say once what to do with these commands: log.missing_offsets: replay (what was applied is not applied again while its id is known) or skip"})
		}
		switch {
		case g.processes == 0:
			all = append(all, Finding{Advice, about, "nobody is a member: what comes to " + g.topic + " waits", "start a process that serves it; one that is gone for good: kafka-consumer-groups.sh --delete"})
		case len(g.unowned) > 0:
			all = append(all, Finding{Advice, about, fmt.Sprintf("nobody owns partitions %v of %s", g.unowned, g.topic), "if it stays so after a few seconds, see the logs of the processes in \"angzarr owners\""})
		}
		if wait := now.Sub(g.since); !g.since.IsZero() && g.processes > 0 && wait > longWait {
			all = append(all, Finding{Advice, about, fmt.Sprintf("the oldest record of %s waits since %v", g.topic, wait.Round(time.Second)), "see \"angzarr lag --partitions\": is the service away, or a root slow?"})
		}
		if len(all) == before {
			all = append(all, Finding{Fine, about, fmt.Sprintf("all partitions are owned, by %d %s", g.processes, plural(g.processes, "process", "processes")), ""})
		}
	}
	return all
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// judgeTransactions looks for those that brokers should have ended long ago: no
// reader gets past one.
func judgeTransactions(open []partitioning.OpenTransaction, now time.Time) (all []Finding) {
	for _, t := range open {
		if age := now.Sub(t.Since); age > longWait {
			all = append(all, Finding{Wrong, "transaction " + t.ID, fmt.Sprintf("is open since %v, six times its timeout or more: nobody reads past it", age.Round(time.Second)),
				"restart the broker that coordinates it, or end it: kafka-transactions.sh abort"})
		}
	}
	if len(all) == 0 {
		return []Finding{{Fine, "transactions", "none is open for long", ""}}
	}
	return all
}
