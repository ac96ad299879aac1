package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	envPrefix   = "ANGZARR_"
	envFile     = "ANGZARR_CONFIG"
	envEndpoint = "ANGZARR_SERVICE_ENDPOINT"
)

// reserved variables belong to other parts: a trailing `_` stands for all that
// begin so.
var reserved = []string{envFile, envEndpoint, "ANGZARR_SERVER", "ANGZARR_TEST_", "ANGZARR_KAFKA_", "ANGZARR_REDIS_"}

// kubernetes matches what a cluster sets in every pod beside a Service named
// angzarr or angzarr-…; refusing these would refuse to start there.
var kubernetes = regexp.MustCompile(
	`^ANGZARR_(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?)$`)

// variableOf names the variable of a key: log.brokers is ANGZARR_LOG_BROKERS.
// What is in a list of services has none.
func variableOf(key string) string {
	if strings.Contains(key, "[]") {
		return ""
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// variables keeps what is ours. An empty variable counts as not set, as compose
// files pass empty ones for what nobody gave.
func variables(environ []string) map[string]string {
	ours := make(map[string]string)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, envPrefix) && value != "" {
			ours[name] = value
		}
	}
	return ours
}

// environment maps each variable to its key.
type environment struct {
	values   map[string]string
	keys     map[string]string // by variable
	problems *problems
}

func newEnvironment(values map[string]string, p *problems) *environment {
	e := &environment{values: values, keys: make(map[string]string), problems: p}
	for _, key := range keys() {
		if name := variableOf(key); name != "" {
			e.keys[name] = key
		}
	}
	return e
}

// entries gives what sets a key, and refuses the rest.
func (e *environment) entries() []string {
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(e.values)) {
		switch {
		case e.keys[name] == "":
			if !foreign(name, e.values[name]) {
				e.unknown(name)
			}
		case e.detailed(name):
			// koanf would drop one of the two, by chance.
			e.problems.add(name, e.keys[name], "leave it out where a variable %s_… is set", name)
		default:
			entries = append(entries, name+"="+e.values[name])
		}
	}
	return entries
}

// detailed reports whether variables below this one are set too, as
// ANGZARR_LOG_TLS_CA is below ANGZARR_LOG_TLS.
func (e *environment) detailed(name string) bool {
	for other := range e.values {
		if strings.HasPrefix(e.keys[other], e.keys[name]+".") {
			return true
		}
	}
	return false
}

// foreign reports whether the variable is somebody else's.
func foreign(name, value string) bool {
	for _, r := range reserved {
		if name == r || strings.HasSuffix(r, "_") && strings.HasPrefix(name, r) {
			return true
		}
	}
	link := strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
	return link || kubernetes.MatchString(name)
}

// nearest compares without the prefix, which all have.
func (e *environment) nearest(name string) string {
	var rest []string
	for _, known := range slices.Sorted(maps.Keys(e.keys)) {
		rest = append(rest, strings.TrimPrefix(known, envPrefix))
	}
	if n := nearest(strings.TrimPrefix(name, envPrefix), rest); n != "" {
		return envPrefix + n
	}
	return ""
}

func (e *environment) unknown(name string) {
	first, _, _ := strings.Cut(strings.TrimLeft(strings.TrimPrefix(name, envPrefix), "_"), "_")
	guess := e.nearest(name)
	source := printable(name)
	switch {
	case upstream(first):
		e.problems.meant = append(e.problems.meant, "log.brokers")
		e.problems.add(source, "", "%s (ANGZARR_LOG_BROKERS)", upstreamText)
	case strings.HasPrefix(name, "ANGZARR_BUSINESS_LOGIC"),
		strings.HasPrefix(name, "ANGZARR_PROJECTORS"), strings.HasPrefix(name, "ANGZARR_SAGAS"):
		e.problems.add(source, "", "set services in the file; %s gives the address of the only one", envEndpoint)
	case guess != "":
		e.problems.meant = append(e.problems.meant, e.keys[guess])
		e.problems.add(source, "", "unknown variable: did you mean %s (%s)?", guess, e.keys[guess])
	default:
		e.problems.add(source, "", "unknown variable: want ANGZARR_ and the key, as in ANGZARR_LOG_BROKERS (log.brokers)")
	}
}
