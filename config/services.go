package config

import (
	"fmt"
	"regexp"
	"slices"
)

// setEndpoint gives the one service beside a sidecar its address: the only one
// without an address, or the only one at all. A list that the flags gave has its
// addresses from the flags, which win.
func (c *Config) setEndpoint(endpoint string, flags map[string]any, p *problems) {
	var all, without []*string
	var lists []string
	see := func(list string, address *string) {
		all, lists = append(all, address), append(lists, list)
		if *address == "" {
			without = append(without, address)
		}
	}
	for i := range c.BusinessLogic {
		see("business_logic", &c.BusinessLogic[i].Address)
	}
	for i := range c.Projectors {
		see("projectors", &c.Projectors[i].Address)
	}
	for i := range c.Sagas {
		see("sagas", &c.Sagas[i].Address)
	}
	switch {
	case len(without) == 1:
		*without[0] = endpoint
	case len(all) == 1:
		if flags[lists[0]] == nil {
			*all[0] = endpoint
		}
	case len(all) == 0:
		p.add(envEndpoint, "", "want one service to give the address to: add it to business_logic, projectors or sagas")
	default:
		p.add(envEndpoint, "",
			"want exactly one service without an address, not %d of %d: set the others' address in the file",
			len(without), len(all))
	}
}

// checkServices keeps each domain with one business logic, and names apart: they
// are the consumer groups'.
func (c *Config) checkServices(p *problems) {
	domains := make(map[string]string)
	for i, s := range c.BusinessLogic {
		key := fmt.Sprintf("business_logic[%d]", i)
		checkName(p, key+".domain", s.Domain)
		checkDomain(p, key+".domain", s.Domain)
		once(p, domains, key+".domain", s.Domain, "one service a domain: remove one of the two")
		checkService(p, key, s.Address)
	}
	names := make(map[string]string)
	for i, s := range c.Projectors {
		s.check(p, fmt.Sprintf("projectors[%d]", i), names)
	}
	names = make(map[string]string)
	for i, s := range c.Sagas {
		key := fmt.Sprintf("sagas[%d]", i)
		Projector{s.Name, s.Domains, s.Address, s.Synchronous, s.Attempts}.check(p, key, names)
		for j, name := range s.EventTypes {
			if !typePattern.MatchString(name) {
				p.add("", fmt.Sprintf("%s.event_types[%d]", key, j), "want a message's full name, such as order.OrderPlaced, not %s", shown(name))
			}
		}
	}
}

func (s Projector) check(p *problems, key string, names map[string]string) {
	checkName(p, key+".name", s.Name)
	once(p, names, key+".name", s.Name, "names are consumer groups: choose another one")
	domains := make(map[string]string)
	for i, domain := range s.Domains {
		at := fmt.Sprintf("%s.domains[%d]", key, i)
		checkName(p, at, domain)
		checkDomain(p, at, domain)
		once(p, domains, at, domain, "remove one of the two")
	}
	checkService(p, key, s.Address)
	if s.Attempts < 0 {
		p.add("", key+".attempts", "want 1 or more, or leave it out for %d, not %d", DefaultAttempts, s.Attempts)
	}
}

// typePattern is a protobuf message's full name.
var typePattern = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)

func checkService(p *problems, key, address string) {
	if address == "" {
		p.add("", key+".address", "required: the service's host:port, or %s for the only one", envEndpoint)
		return
	}
	checkAddress(p, key+".address", address, dialled)
}

// once reports what seen holds already.
func once(p *problems, seen map[string]string, key, value, remedy string) {
	if first, ok := seen[value]; ok && value != "" {
		p.add("", key, "%s is given at %s already: %s", shown(value), first, remedy)
		return
	}
	seen[value] = key
}

// A name is a part of topic and group names, which dots separate. Kafka takes 249
// characters; the longest rest, `angzarr.….dead-letters`, needs 21 of them.
const longestName = 200

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`) // a counted repetition takes half a megabyte

func checkName(p *problems, key, name string) {
	switch {
	case name == "":
		p.add("", key, "required: want lower-case letters, digits, - and _, such as order-fulfillment")
	case len(name) > longestName, !namePattern.MatchString(name):
		p.add("", key, "want lower-case letters, digits, - and _, at most %d, the first a letter or digit, not %s",
			longestName, shown(name))
	}
}

// checkDomain refuses the names whose topics or groups would be those of
// projectors and sagas: angzarr.projections.events, angzarr.saga.….
func checkDomain(p *problems, key, domain string) {
	if slices.Contains([]string{"projections", "projector", "saga"}, domain) {
		p.add("", key, "%s is taken by angzarr's own topics and groups: choose another name, such as %s-1",
			shown(domain), domain)
	}
}
