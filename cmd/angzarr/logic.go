package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/schema"
)

// logic is the connection to a service that people write: business logic, a
// projector or a saga.
type logic struct {
	title   string // "business logic of inventory", "projector summary"
	waits   string // what waits for it: "commands of inventory"
	domain  string // whose business logic it is, "" for others
	address string
	conn    *grpc.ClientConn
}

// dialLogic reaches the business logic of a domain, once it is there.
func (p *process) dialLogic(b config.BusinessLogic) (logic, error) {
	return p.dial(logic{
		title: "business logic of " + b.Domain, waits: "commands of " + b.Domain, domain: b.Domain, address: b.Address,
	})
}

// dialReactor reaches a projector or a saga, once it is there.
func (p *process) dialReactor(kind, name, address string) (logic, error) {
	return p.dial(logic{title: kind + " " + name, waits: "its events", address: address})
}

func (p *process) dial(l logic) (logic, error) {
	conn, err := grpc.NewClient(l.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithConnectParams(grpc.ConnectParams{
			// A service that restarts is found again soon; the default waits up
			// to 120 s.
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}))
	if err != nil {
		return logic{}, fmt.Errorf("%s: address %s: %w", l.title, l.address, err)
	}
	l.conn = conn
	p.closers = append(p.closers, func() { conn.Close() })
	p.logics = append(p.logics, l)
	return l, nil
}

// backends are the services whose types the front door tells its callers.
func (p *process) backends() []schema.Backend {
	var backends []schema.Backend
	for _, l := range p.logics {
		if l.domain != "" {
			backends = append(backends, schema.Backend{Name: "business logic " + l.domain, Conn: l.conn})
		}
	}
	return backends
}

// watch tells when the service comes and goes, until ctx ends. It also holds the
// connection open, so that a service that comes back is found before the next
// command.
func (l logic) watch(ctx context.Context, tell func(l logic, there bool)) {
	var told, there bool
	for state := l.conn.GetState(); state != connectivity.Shutdown; state = l.conn.GetState() {
		is := state == connectivity.Ready
		switch {
		case state == connectivity.Idle:
			l.conn.Connect()
		case (is || state == connectivity.TransientFailure) && (!told || is != there):
			told, there = true, is
			tell(l, there)
		}
		if !l.conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}

func (p *process) logLogic(l logic, there bool) {
	if there {
		p.log.Info("a service is there", "service", l.title, "address", l.address)
		return
	}
	p.log.Warn("a service is not there: "+l.waits+" wait for it", "service", l.title, "address", l.address)
}
