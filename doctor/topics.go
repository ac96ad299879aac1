package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

// judgeTopics judges what domains rest on.
func judgeTopics(topics []log.TopicState, brokers int, offsetsRetention time.Duration) (all []Finding) {
	byName := make(map[string]log.TopicState)
	for _, t := range topics {
		byName[t.Name] = t
	}
	domains := domainsOf(topics)
	if len(domains) == 0 {
		return []Finding{{Fine, "topics", "there is no domain yet: the first start of a process that serves one makes its topics", ""}}
	}
	for _, domain := range domains {
		before := len(all)
		for _, err := range log.JudgeDomain(domain, byName, offsetsRetention) {
			all = append(all, parted(err))
		}
		for _, name := range log.DomainTopics(domain) {
			if t, ok := byName[name]; ok {
				all = append(all, judgeTopic(t, brokers)...)
				continue
			}
			all = append(all, Finding{Advice, "topic " + name, "is missing", "start a process that serves the domain: it makes what is missing"})
		}
		all = append(all, judgeEvents(byName[log.EventsTopic(domain)])...)
		if len(all) == before {
			events := byName[log.EventsTopic(domain)]
			all = append(all, Finding{Fine, "domain " + domain, fmt.Sprintf("%d topics of %d partitions, %d %s", len(log.DomainTopics(domain)), events.Partitions, events.Replicas, plural(events.Replicas, "copy", "copies")), ""})
		}
	}
	return all
}

// domainsOf are the domains of which there are topics.
func domainsOf(topics []log.TopicState) (domains []string) {
	for _, t := range topics {
		if domain, ok := log.DomainOf(t.Name); ok {
			domains = append(domains, domain)
		}
	}
	slices.Sort(domains)
	return domains
}

// parted makes a finding of an error "topic T: what is wrong: what would be right".
func parted(err error) Finding {
	about, text, _ := strings.Cut(err.Error(), ": ")
	at := strings.LastIndex(text, ": ")
	if at < 0 {
		return Finding{Wrong, about, text, "make it so"}
	}
	return Finding{Wrong, about, text[:at], text[at+2:]}
}

// judgeTopic judges how safe a topic's records are.
func judgeTopic(t log.TopicState, brokers int) (all []Finding) {
	about := "topic " + t.Name
	if len(t.Leaderless) > 0 {
		all = append(all, Finding{Wrong, about, fmt.Sprintf("partitions %v have no leader, and can't be written to or read", t.Leaderless), "start the brokers that hold them"})
	}
	if len(t.Behind) > 0 {
		all = append(all, Finding{Advice, about, fmt.Sprintf("partitions %v have copies that lag behind", t.Behind), "start the brokers that hold them, or wait until these have caught up"})
	}
	switch {
	case t.Replicas == 1 && brokers > 1:
		all = append(all, Finding{Advice, about, "has a single copy, which is lost with its broker", "add replicas (kafka-reassign-partitions.sh), and set log.replication_factor: 3 for topics to come"})
	case t.Replicas >= 3 && t.Setting("min.insync.replicas") == 1:
		all = append(all, Finding{Advice, about, "min.insync.replicas is 1: what is acknowledged may be on one broker only", "set min.insync.replicas to 2"})
	}
	if t.Replicas > 1 && t.Settings["unclean.leader.election.enable"] == "true" {
		all = append(all, Finding{Wrong, about, "unclean.leader.election.enable is true: a broker that lacks what was acknowledged may become leader", "set it to false"})
	}
	return all
}

// judgeEvents judges what has to do with erasing, and with the shelf.
func judgeEvents(t log.TopicState) (all []Finding) {
	if t.Name == "" || t.Settings["cleanup.policy"] != "compact" {
		return nil // which is told already
	}
	about, day := "topic "+t.Name, 24*time.Hour.Milliseconds()
	if lag := t.Setting("max.compaction.lag.ms"); lag > 30*day {
		all = append(all, Finding{Advice, about, "max.compaction.lag.ms is longer than a month: it is not said when the bytes of what was erased are gone", "set it to 604800000 (a week)"})
	}
	if keep := t.Setting("delete.retention.ms"); keep >= 0 && keep < day {
		all = append(all, Finding{Advice, about, fmt.Sprintf("delete.retention.ms is %d: a shelf that is older than half of that is made anew", keep), "set it to 604800000 (a week)"})
	}
	return all
}

// judgeWriters looks for clocks that are ahead: of the processes that write, or of
// this machine, which is behind then.
func judgeWriters(topics []log.TopicState, now time.Time) []Finding {
	var latest log.TopicState
	for _, t := range topics {
		if t.Newest.After(latest.Newest) {
			latest = t
		}
	}
	ahead := latest.Newest.Sub(now)
	switch {
	case latest.Newest.IsZero():
		return nil
	case ahead <= mostSkew:
		return []Finding{{Fine, "clocks", "no record is from the future", ""}}
	}
	return []Finding{{skewed(ahead), "clocks", fmt.Sprintf("a record of %s was written %v in the future: the clock of its writer is ahead, or this machine's is behind", latest.Name, ahead.Round(time.Millisecond)),
		"have all machines keep time (NTP): deadlines and retention are reckoned by it"}}
}

const (
	mostSkew  = 2 * time.Second
	worstSkew = 30 * time.Second
)

func skewed(by time.Duration) Level {
	if by > worstSkew {
		return Wrong
	}
	return Advice
}
