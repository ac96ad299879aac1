package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// use says what an address is for: what a listener is bound to may leave out the
// host, or have port 0; what others dial may not.
type use int

const (
	bound use = iota
	dialled
)

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9._:%-]+$`)

// checkAddress wants host:port.
func checkAddress(p *problems, key, address string, u use) {
	if strings.Contains(address, "://") {
		p.add("", key, "want host:port without a scheme, such as %s, not %s", example(u), shown(address))
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		p.add("", key, "want host:port, such as %s (an IPv6 host in brackets), not %s", example(u), shown(address))
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && u == dialled {
		p.add("", key, "want a port between 1 and 65535, as in %s, not %s", example(u), shown(address))
	}
	if u == dialled && unspecified(host) {
		p.add("", key, "want a host that others can dial, as in %s, not %s", example(u), shown(address))
	} else if host != "" && !hostPattern.MatchString(host) {
		p.add("", key, "want a host name or an IP address, as in %s, not %s", example(u), shown(address))
	}
}

func example(u use) string {
	if u == dialled {
		return "localhost:50051"
	}
	return "127.0.0.1:50050"
}

func unspecified(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// AdvertiseAddress is what other processes dial to reach the listener at
// address: Advertise if it is set; else the host of Listen, or the machine's
// first address that isn't its own alone if that is open, with the listener's
// port.
func (peers *Peers) AdvertiseAddress(listener net.Addr) (string, error) {
	if peers.Advertise != "" {
		return peers.Advertise, nil
	}
	_, port, err := net.SplitHostPort(listener.String())
	if err != nil {
		return "", fmt.Errorf("peers.listen: want a TCP listener: %w", err)
	}
	host, _, err := net.SplitHostPort(peers.Listen)
	if err != nil {
		return "", fmt.Errorf("peers.listen: want host:port: %w", err)
	}
	if !unspecified(host) {
		return net.JoinHostPort(host, port), nil
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("peers.advertise: set it, as the machine's addresses are unknown: %w", err)
	}
	host = reachable(own)
	if host == "" {
		return "", errors.New("peers.advertise: set it, as this machine has only loopback addresses")
	}
	return net.JoinHostPort(host, port), nil
}

// reachable gives the first address that other machines can dial, IPv4 first;
// link-local ones need a zone that differs on every machine.
func reachable(own []net.Addr) string {
	var six string
	for _, address := range own {
		network, ok := address.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() {
			continue
		}
		if network.IP.To4() != nil {
			return network.IP.String()
		}
		if six == "" {
			six = network.IP.String()
		}
	}
	return six
}
