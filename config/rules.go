package config

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// check adds every rule that is broken.
func (c *Config) check(p *problems) {
	checkBound(p, "listen", c.Listen)
	checkBound(p, "admin", c.Admin)
	apart(p, "admin", c.Admin, "listen", c.Listen)
	if c.Peers != nil {
		c.Peers.check(p)
		apart(p, "peers.listen", c.Peers.Listen, "listen", c.Listen)
		apart(p, "peers.listen", c.Peers.Listen, "admin", c.Admin)
	}
	c.Log.check(p)
	c.Snapshots.check(p)
	c.Limits.check(p)
	if c.SynchronousDepth < 1 {
		p.add("", "synchronous_depth", "want 1 or more hops, not %d", c.SynchronousDepth)
	}
	c.checkServices(p)
}

func checkBound(p *problems, key, address string) {
	if address == "" {
		p.add("", key, "required: want host:port, such as %s", example(bound))
		return
	}
	checkAddress(p, key, address, bound)
}

// apart wants two listeners on different ports.
func apart(p *problems, key, address, otherKey, other string) {
	if _, port, _ := net.SplitHostPort(address); address == other && address != "" && port != "0" {
		p.add("", key, "want another port than %s has, not %s", otherKey, shown(address))
	}
}

func (l *Log) check(p *problems) {
	oneOf(p, "log.type", l.Type, LogKafka, LogEmbedded)
	oneOf(p, "log.missing_offsets", l.MissingOffsets, MissingOffsetsRefuse, MissingOffsetsReplay, MissingOffsetsSkip)
	if l.Partitions < 1 {
		p.add("", "log.partitions", "want 1 or more, not %d", l.Partitions)
	}
	if rf := l.ReplicationFactor; rf != -1 && (rf < 1 || rf > 32767) {
		p.add("", "log.replication_factor", "want 1 or more, or -1 for the broker's default, not %d", rf)
	}
	if l.Type == LogEmbedded {
		onlyFor(p, "log.brokers", len(l.Brokers) > 0, "log.type: kafka")
		onlyFor(p, "log.tls", l.TLS != nil, "log.type: kafka")
		onlyFor(p, "log.sasl", l.SASL != nil, "log.type: kafka")
		return
	}
	onlyFor(p, "log.data", l.Data != "", "log.type: embedded")
	if len(l.Brokers) == 0 {
		p.add("", "log.brokers", "required: want a list of host:port, such as [redpanda:9092], or log.type: embedded")
	}
	for i, broker := range l.Brokers {
		checkAddress(p, fmt.Sprintf("log.brokers[%d]", i), broker, dialled)
	}
	l.TLS.check(p, "log.tls")
	if l.SASL != nil {
		l.SASL.check(p)
	}
}

func (s *SASL) check(p *problems) {
	oneOf(p, "log.sasl.mechanism", s.Mechanism, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
	if s.Username == "" {
		p.add("", "log.sasl.username", "required: want the user that the brokers know")
	}
	if s.Password == (Secret{}) {
		p.add("", "log.sasl.password", "required: set it, or %s", variableOf("log.sasl.password"))
	}
}

func (s *Snapshots) check(p *problems) {
	oneOf(p, "snapshots.type", s.Type, SnapshotsMemory, SnapshotsRedis)
	if s.Type != SnapshotsRedis {
		const redis = "snapshots.type: redis"
		onlyFor(p, "snapshots.address", s.Address != "", redis)
		onlyFor(p, "snapshots.username", s.Username != "", redis)
		onlyFor(p, "snapshots.password", s.Password != (Secret{}), redis)
		onlyFor(p, "snapshots.tls", s.TLS != nil, redis)
		onlyFor(p, "snapshots.cluster", s.Cluster, redis)
		return
	}
	if s.Address == "" {
		p.add("", "snapshots.address", "required: want Redis' host:port, such as redis:6379")
	} else {
		checkAddress(p, "snapshots.address", s.Address, dialled)
	}
	if s.Username != "" && s.Password == (Secret{}) {
		p.add("", "snapshots.password", "required with snapshots.username: set it, or %s", variableOf("snapshots.password"))
	}
	s.TLS.check(p, "snapshots.tls")
}

func (l *Limits) check(p *problems) {
	for _, limit := range []struct {
		key  string
		size Size
	}{{"open_book", l.OpenBook}, {"answer", l.Answer}, {"books", l.Books}} {
		if limit.size < 1 {
			p.add("", "limits."+limit.key, "want more than 0, such as 4MiB, not %s", limit.size)
		}
	}
	// The largest book that is sent to logic has to fit into memory.
	if l.OpenBook >= 1 && l.Books >= 1 && l.Books < l.OpenBook {
		p.add("", "limits.books", "want at least limits.open_book (%s), not %s", l.OpenBook, l.Books)
	}
	if l.Waiting < 1 {
		p.add("", "limits.waiting", "want 1 or more commands, not %d", l.Waiting)
	}
}

func (peers *Peers) check(p *problems) {
	if peers.Listen == "" {
		p.add("", "peers.listen", "required with peers: want host:port, such as :50070, or remove peers")
	} else {
		checkAddress(p, "peers.listen", peers.Listen, bound)
	}
	if peers.Advertise != "" {
		checkAddress(p, "peers.advertise", peers.Advertise, dialled)
	}
	switch {
	case peers.TLS == nil && !peers.Insecure:
		p.add("", "peers.tls", "required with peers: set ca, cert and key, or peers.insecure: true in a trusted network")
	case peers.TLS != nil && peers.Insecure:
		p.add("", "peers.insecure", "remove it, or remove peers.tls: peers speak either TLS or plain text")
	case peers.TLS != nil:
		peerFile(p, "peers.tls.ca", peers.TLS.CA)
		peerFile(p, "peers.tls.cert", peers.TLS.Cert)
		peerFile(p, "peers.tls.key", peers.TLS.Key)
	}
}

func peerFile(p *problems, key, file string) {
	if file == "" {
		p.add("", key, "required: peers prove to each other who they are; want a PEM file")
	}
}

// check wants certificate and key together.
func (t *TLS) check(p *problems, key string) {
	switch {
	case t == nil:
	case t.Cert != "" && t.Key == "":
		p.add("", key+".key", "required with %s.cert: want the PEM file of its private key", key)
	case t.Cert == "" && t.Key != "":
		p.add("", key+".cert", "required with %s.key: want the PEM file of its certificate", key)
	}
}

func oneOf(p *problems, key, value string, choices ...string) {
	if slices.Contains(choices, value) {
		return
	}
	want := strings.Join(choices, ", ")
	if value == "" {
		p.add("", key, "required: want one of %s", want)
		return
	}
	p.add("", key, "want one of %s, not %s", want, shown(value))
}

func onlyFor(p *problems, key string, given bool, setting string) {
	if given {
		p.add("", key, "only for %s: set that, or remove this key", setting)
	}
}
