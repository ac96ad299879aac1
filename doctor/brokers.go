package doctor

import (
	"fmt"
	"strconv"
	"time"

	"github.com/angzarr/angzarr-kafka/log"
)

const (
	// session is how long a worker may be silent before its group gives its
	// partitions to others: workers ask for it, and brokers may refuse it.
	session = 6 * time.Second
	// transaction is after how long a worker's transaction is aborted.
	transaction = 10 * time.Second
	// idle is how long a domain may be off without its offsets being forgotten.
	idle = 7 * 24 * time.Hour
)

// judgeBrokers judges each broker, and what all of them are set to.
func judgeBrokers(brokers []log.BrokerState) (all []Finding) {
	var there []log.BrokerState
	for _, b := range brokers {
		about := fmt.Sprintf("broker %d at %s", b.ID, b.Address)
		switch {
		case b.Err != nil:
			all = append(all, Finding{Wrong, about, fmt.Sprintf("does not answer: %v", b.Err),
				"start it; if it runs, its advertised.listeners must be an address that can be reached from here"})
			continue
		case !b.Fences:
			all = append(all, Finding{Wrong, about, "commits offsets without the member's generation, so that a deposed worker could go on writing",
				"upgrade it to Kafka 2.5 or newer"})
		default:
			all = append(all, Finding{Fine, about, fmt.Sprintf("speaks the protocol of Kafka %s, transaction.version is %d", version(b.Version), b.TransactionVersion), ""})
		}
		there = append(there, b)
		all = append(all, judgeDisk(about, b)...)
	}
	return append(all, judgeSettings(there)...)
}

func version(guess string) string {
	if guess == "" {
		return "(unknown)"
	}
	return guess
}

func judgeDisk(about string, b log.BrokerState) []Finding {
	if b.Total <= 0 {
		return nil
	}
	free := 100 * b.Free / b.Total
	level := Advice
	switch {
	case free >= 15:
		return nil
	case free < 5:
		level = Wrong
	}
	return []Finding{{level, about, fmt.Sprintf("has %d %% of its disk left", free), "make room: a broker whose disk is full stops, and events are never deleted by age"}}
}

// judgeSettings judges what must be so at every broker: the worst one counts.
func judgeSettings(brokers []log.BrokerState) (all []Finding) {
	const about = "brokers"
	if len(brokers) == 0 {
		return nil
	}
	version := brokers[0].TransactionVersion
	for _, b := range brokers {
		version = min(version, b.TransactionVersion)
	}
	if version < 2 {
		all = append(all, Finding{Advice, about, fmt.Sprintf("transaction.version is %d: each commit takes a request more, and a late one of a dead producer is told apart less well", version),
			"with Kafka 4: kafka-features.sh upgrade --feature transaction.version=2"})
	}
	if d := span(brokers, "add.partitions.to.txn.retry.backoff.ms", time.Millisecond, most); d >= log.DefaultTxnRetryBackoff {
		all = append(all, Finding{Advice, about, fmt.Sprintf("add.partitions.to.txn.retry.backoff.ms is %d: a commit that follows upon another waits up to so long", d.Milliseconds()),
			"set add.partitions.to.txn.retry.backoff.ms=1 at every broker"})
	}
	if d := span(brokers, "group.min.session.timeout.ms", time.Millisecond, most); d > session {
		all = append(all, Finding{Wrong, about, fmt.Sprintf("group.min.session.timeout.ms is %d: workers ask for %d, and are refused", d.Milliseconds(), session.Milliseconds()),
			fmt.Sprintf("set group.min.session.timeout.ms to %d or less at every broker", session.Milliseconds())})
	}
	if d := span(brokers, "group.max.session.timeout.ms", time.Millisecond, least); d > 0 && d < session {
		all = append(all, Finding{Wrong, about, fmt.Sprintf("group.max.session.timeout.ms is %d: workers ask for %d, and are refused", d.Milliseconds(), session.Milliseconds()),
			fmt.Sprintf("set group.max.session.timeout.ms to %d or more at every broker", session.Milliseconds())})
	}
	if d := span(brokers, "transaction.max.timeout.ms", time.Millisecond, least); d > 0 && d < transaction {
		all = append(all, Finding{Wrong, about, fmt.Sprintf("transaction.max.timeout.ms is %d: workers ask for %d, and are refused", d.Milliseconds(), transaction.Milliseconds()),
			fmt.Sprintf("set transaction.max.timeout.ms to %d or more at every broker", transaction.Milliseconds())})
	}
	if d := span(brokers, "offsets.retention.minutes", time.Minute, least); d > 0 && d < idle {
		all = append(all, Finding{Advice, about, fmt.Sprintf("offsets.retention.minutes is %d: after so long without workers a domain's place in its commands is forgotten, and a start is refused", int64(d.Minutes())),
			fmt.Sprintf("set offsets.retention.minutes to %d or more at every broker", int64(idle.Minutes()))})
	}
	return append(all, judgeInternal(brokers)...)
}

// judgeInternal judges the copies of what commits rest on, where there are
// enough brokers to have some.
func judgeInternal(brokers []log.BrokerState) (all []Finding) {
	if len(brokers) < 3 {
		return nil
	}
	for _, key := range []string{"offsets.topic.replication.factor", "transaction.state.log.replication.factor"} {
		if n := number(brokers[0], key); n > 0 && n < 3 {
			all = append(all, Finding{Advice, "brokers", fmt.Sprintf("%s is %d: with the loss of one broker nothing could be committed", key, n),
				"set it to 3, and add replicas where the topic is there already (kafka-reassign-partitions.sh)"})
		}
	}
	if n := number(brokers[0], "transaction.state.log.min.isr"); n == 1 {
		all = append(all, Finding{Advice, "brokers", "transaction.state.log.min.isr is 1: whether a transaction was committed may be known to one broker only", "set it to 2"})
	}
	return all
}

func number(b log.BrokerState, key string) int64 {
	n, err := strconv.ParseInt(b.Settings[key], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func least(a, b int64) int64 { return min(a, b) }
func most(a, b int64) int64  { return max(a, b) }

// span gives a setting of all brokers, the worst of them; 0 where none tells.
func span(brokers []log.BrokerState, key string, unit time.Duration, worse func(a, b int64) int64) time.Duration {
	worst := int64(-1)
	for _, b := range brokers {
		switch n := number(b, key); {
		case n < 0:
		case worst < 0:
			worst = n
		default:
			worst = worse(worst, n)
		}
	}
	return time.Duration(max(0, worst)) * unit
}
