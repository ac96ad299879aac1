package log

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour

	// commandsRetention is Kafka's default for both topics and offsets; it is
	// lowered to the offsets' where that is shorter.
	commandsRetention = 7 * day
	outcomesRetention = 1 * day
	// repliesRetention is far longer than any caller waits.
	repliesRetention = 15 * time.Minute

	// erasureLag is the date by which an erased root's bytes are gone from
	// closed segments.
	erasureLag = 7 * day
	// tombstoneRetention bounds how old a shelf's mark may be: half of it. A
	// fleet that was off over a weekend should find its shelves valid.
	tombstoneRetention = 7 * day
	// droppedRetention is how long it can be read why a dead letter was dropped.
	droppedRetention = 30 * day
)

// policy is what a topic must be. What it says is decided here, what is
// found at the brokers is compared with it, both without asking anyone.
type policy struct {
	topic string
	// cleanup is the only right cleanup.policy, and hazard what any other
	// would do.
	cleanup, hazard string
	// settings go with it when the topic is created; for topics that exist
	// they are the operator's.
	settings map[string]string
	// tuning is left out where brokers don't let it be set, as some that are
	// run as a service don't.
	tuning map[string]string
	// maxRetention is 0 where age does no harm.
	maxRetention time.Duration
}

// domainPolicies has the events topic first: its number of partitions is the
// others', since it is the one that can't be emptied and made anew.
func domainPolicies(domain string, offsetsRetention time.Duration) []policy {
	return []policy{
		{
			topic: EventsTopic(domain), cleanup: "compact", hazard: "pages would be lost with time",
			settings: map[string]string{
				"max.compaction.lag.ms": millis(erasureLag),
				"delete.retention.ms":   millis(tombstoneRetention),
			},
			// No page supersedes another, so nearly all cleaning copies the
			// log onto itself; what it frees are old snapshots and what was
			// erased, and those have a date.
			tuning: durable(map[string]string{"min.cleanable.dirty.ratio": "0.95"}),
		},
		commandsPolicy(domain, offsetsRetention),
		{
			topic: OutcomesTopic(domain), cleanup: "delete", hazard: "all but a root's last outcome would be lost",
			settings: map[string]string{"retention.ms": millis(outcomesRetention)},
			tuning:   durable(map[string]string{"segment.ms": millis(time.Hour)}),
		},
		{
			topic: DeadLettersTopic(domain), cleanup: "compact", hazard: "dead letters that nobody has dealt with would be lost with time",
			settings: map[string]string{
				"max.compaction.lag.ms": millis(erasureLag), // they may hold what was to be erased
				"delete.retention.ms":   millis(droppedRetention),
			},
			tuning: durable(nil),
		},
	}
}

// commandsPolicy keeps commands no longer than the group's offsets: a command
// that outlives them could be taken for a new one, so that a missing offset is
// an error wherever commands are left.
func commandsPolicy(domain string, offsetsRetention time.Duration) policy {
	p := policy{
		topic: CommandsTopic(domain), cleanup: "delete", hazard: "all but a root's last command would be lost",
		settings:     map[string]string{"retention.ms": millis(commandsRetention)},
		tuning:       durable(map[string]string{"segment.ms": millis(day), "retention.bytes": "-1"}),
		maxRetention: offsetsRetention,
	}
	if offsetsRetention > 0 && offsetsRetention < commandsRetention {
		p.settings["retention.ms"] = millis(offsetsRetention)
	}
	return p
}

func repliesPolicy() policy {
	return policy{
		topic: RepliesTopic, cleanup: "delete", hazard: "the topic would never shrink",
		settings: map[string]string{"retention.ms": millis(repliesRetention)},
		tuning:   map[string]string{"segment.ms": millis(repliesRetention)},
	}
}

func projectionsPolicy(topic string) policy {
	return policy{
		topic: topic, cleanup: "compact", hazard: "projections of aggregates that don't change would be lost with time",
		tuning: durable(nil),
	}
}

func groupsPolicy() policy {
	return policy{
		topic: GroupsTopic, cleanup: "compact", hazard: "projectors and sagas that were off for long would begin anew",
		tuning: durable(nil),
	}
}

func projectorsPolicy() policy {
	return policy{
		topic: ProjectorsTopic, cleanup: "compact", hazard: "projectors would forget which version is theirs",
		tuning: durable(nil),
	}
}

// durable adds what an acknowledged write relies on. An unclean election
// would bring back a broker that lacks acknowledged pages.
func durable(tuning map[string]string) map[string]string {
	all := map[string]string{
		"unclean.leader.election.enable": "false",
		"message.timestamp.type":         "CreateTime",
	}
	for key, value := range tuning {
		all[key] = value
	}
	return all
}

// check compares what the brokers say of a topic with what it must be.
func (p policy) check(found topicState) error {
	cleanup := strings.Split(strings.ReplaceAll(found.config["cleanup.policy"], " ", ""), ",")
	if !slices.Equal(cleanup, []string{p.cleanup}) {
		return fmt.Errorf("topic %s: cleanup.policy is %q, with which %s: set it to %q",
			p.topic, found.config["cleanup.policy"], p.hazard, p.cleanup)
	}
	// A topic without the setting has a minimum of one.
	if inSync := found.number("min.insync.replicas"); inSync > int64(found.replicas) {
		return fmt.Errorf("topic %s: min.insync.replicas is %d, but it has %d replicas, so nothing could be written: set it to %d or less",
			p.topic, inSync, found.replicas, found.replicas)
	}
	if p.maxRetention > 0 {
		return p.checkRetention(found.config["retention.ms"])
	}
	return nil
}

func (p policy) checkRetention(found string) error {
	if ms, err := strconv.ParseInt(found, 10, 64); err == nil && ms >= 0 && ms <= p.maxRetention.Milliseconds() {
		return nil
	}
	return fmt.Errorf("topic %s: retention.ms is %s, longer than committed offsets are kept (offsets.retention.minutes is %d), so commands could outlive the record of what was done: set retention.ms to %s or less",
		p.topic, found, int64(p.maxRetention/time.Minute), millis(p.maxRetention))
}

// checkTogether compares topics with the first of them: a root's pages,
// commands, outcomes and dead letters share a partition number.
func checkTogether(policies []policy, found map[string]topicState) error {
	first := policies[0].topic
	want := found[first].partitions
	for _, p := range policies[1:] {
		got := found[p.topic].partitions
		if got == want {
			continue
		}
		cure := fmt.Sprintf("add partitions until it has %d", want)
		if got > want {
			cure = fmt.Sprintf("delete it once nothing in it is needed, and it is created with %d", want)
		}
		return fmt.Errorf("topic %s: it has %d partitions and %s has %d, but a root has the same partition in both: %s", p.topic, got, first, want, cure)
	}
	return nil
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

const forever = time.Duration(math.MaxInt64)

// duration takes negative numbers for "without limit", as Kafka does, and
// those that are too large for a Duration too.
func duration(n int64, unit time.Duration) time.Duration {
	if n < 0 || n > int64(forever/unit) {
		return forever
	}
	return time.Duration(n) * unit
}
