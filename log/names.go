package log

import (
	"fmt"
	"strconv"
	"strings"
)

// RepliesTopic carries outcomes back to front doors whose commands went
// through a topic. There is one for the whole cluster; each front door reads
// one of its partitions.
const RepliesTopic = prefix + "replies"

// GroupPrefix begins the names of all groups: workers', projectors' and sagas'.
const GroupPrefix = prefix

// GroupsTopic says which readers of events have begun: a group that has no
// committed offsets is a new one only if it is not there. Whoever commits
// offsets alone writes its group there too.
const GroupsTopic = prefix + "groups"

// ProjectorsTopic says what is to become of projectors, in one partition. It is
// another topic than [GroupsTopic] because everybody's transactions are in that,
// and no projector should wait for a dead one's.
const ProjectorsTopic = prefix + "projectors"

const (
	prefix = "angzarr."

	commands    = ".commands"
	events      = ".events"
	outcomes    = ".outcomes"
	deadLetters = ".dead-letters"

	// No domain can have these names: its topics, or its group, would be those
	// of projectors and sagas (angzarr.projections.<projector>, and the groups
	// angzarr.projector.<name>.<domain> and angzarr.saga.<name>.<domain>).
	projections, projector, saga = "projections", "projector", "saga"

	// maxDomain leaves room for the longest rest of a name: Kafka takes 249
	// characters.
	maxDomain = 200
)

// CommandsTopic is where anyone may produce a domain's commands.
func CommandsTopic(domain string) string { return prefix + domain + commands }

// EventsTopic holds a domain's pages, snapshots and erasures: its whole truth.
func EventsTopic(domain string) string { return prefix + domain + events }

// OutcomesTopic says what became of each command that came by the topic
// without asking for a reply.
func OutcomesTopic(domain string) string { return prefix + domain + outcomes }

// DeadLettersTopic keeps what could not be applied, until someone is done
// with it.
func DeadLettersTopic(domain string) string { return prefix + domain + deadLetters }

// Group is the consumer group whose members own a domain's partitions.
func Group(domain string) string { return prefix + domain }

// ProjectionsTopic holds the latest of what a projector made of each root.
func ProjectionsTopic(name string) string { return prefix + projections + "." + name }

// ProjectorGroup is the consumer group of a projector on a domain's events.
func ProjectorGroup(name, domain string) string {
	return prefix + projector + "." + name + "." + domain
}

// StagedProjectionsTopic holds what a version of a projector makes while another
// one's projections are shown. Neither names nor domains have dots.
func StagedProjectionsTopic(name string, version uint32) string {
	return ProjectionsTopic(name) + versioned(version)
}

// ProjectorVersionGroup is [ProjectorGroup] of one of a projector's versions.
func ProjectorVersionGroup(name, domain string, version uint32) string {
	if version <= 1 {
		return ProjectorGroup(name, domain)
	}
	return prefix + projector + "." + name + versioned(version) + "." + domain
}

func versioned(version uint32) string { return ".v" + strconv.FormatUint(uint64(version), 10) }

// SteeringGroup is the consumer group whose one owner steers a projector.
func SteeringGroup(name string) string { return prefix + projector + "." + name }

// ProjectorOf reads whose group it is: a projector's on a domain's events.
func ProjectorOf(group string) (name, domain string, version uint32, ok bool) {
	parts := strings.Split(strings.TrimPrefix(group, prefix), ".")
	switch {
	case !strings.HasPrefix(group, prefix) || parts[0] != projector:
	case len(parts) == 3:
		return parts[1], parts[2], 1, true
	case len(parts) == 4 && strings.HasPrefix(parts[2], "v"):
		n, err := strconv.ParseUint(parts[2][1:], 10, 32)
		return parts[1], parts[3], uint32(n), err == nil
	}
	return "", "", 0, false
}

// SagaGroup is the consumer group of a saga on a domain's events.
func SagaGroup(name, domain string) string { return prefix + saga + "." + name + "." + domain }

// The kinds of readers of a domain's events.
const (
	KindProjector = projector
	KindSaga      = saga
)

// Service is a projector or a saga, and the domain whose events its group reads.
type Service struct{ Kind, Name, Domain string }

func (s Service) String() string { return s.Kind + "." + s.Name }

// ServiceOf is whose group that is, a projector's of whichever version, and false
// for every other group.
func ServiceOf(group string) (Service, bool) {
	if name, domain, _, ok := ProjectorOf(group); ok {
		return Service{projector, name, domain}, name != "" && ValidDomain(domain) == nil
	}
	rest, ok := strings.CutPrefix(group, prefix)
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 3 || parts[0] != saga || parts[1] == "" || ValidDomain(parts[2]) != nil {
		return Service{}, false
	}
	return Service{parts[0], parts[1], parts[2]}, true
}

// DomainOf is the domain that a commands topic belongs to, and false for every
// other topic.
func DomainOf(commandsTopic string) (string, bool) {
	domain, ok := strings.CutPrefix(commandsTopic, prefix)
	if !ok {
		return "", false
	}
	domain, ok = strings.CutSuffix(domain, commands)
	if !ok || ValidDomain(domain) != nil {
		return "", false
	}
	return domain, true
}

// ValidDomain says what is wrong with a domain's name. A name becomes part of
// topic and group names; dots are left out because they separate those parts,
// and because Kafka takes "." and "_" for the same thing in its metrics.
func ValidDomain(domain string) error {
	right := fmt.Sprintf("a domain is 1 to %d lower-case letters, digits, '-' and '_', and starts with a letter or a digit", maxDomain)
	switch {
	case domain == "":
		return fmt.Errorf("domain is empty: %s", right)
	case len(domain) > maxDomain:
		return fmt.Errorf("domain %q… has %d characters: %s", domain[:20], len(domain), right)
	case domain == projections, domain == projector, domain == saga:
		return fmt.Errorf("domain %q is taken: topics or groups named %s%s.… are of projectors and sagas", domain, prefix, domain)
	}
	for i, r := range domain {
		alphanumeric := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		if !alphanumeric && (i == 0 || r != '-' && r != '_') {
			return fmt.Errorf("domain %q has %q at position %d: %s", domain, r, i+1, right)
		}
	}
	return nil
}
