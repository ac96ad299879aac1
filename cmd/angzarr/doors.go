package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/angzarr/angzarr-kafka/config"
	"github.com/angzarr/angzarr-kafka/frontdoor"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// served is a gRPC server and where it listens.
type served struct {
	server   *grpc.Server
	listener net.Listener
}

func (p *process) listen(c *config.Config) (err error) {
	if p.door, err = listenAt("listen", c.Listen); err != nil {
		return err
	}
	if c.Peers != nil {
		if p.peerDoor, err = listenAt("peers.listen", c.Peers.Listen); err != nil {
			return err
		}
	}
	admin, err := listenAt("admin", c.Admin)
	if err != nil {
		return err
	}
	p.admin = newAdminServer(admin)
	return nil
}

// listenAt listens on the address that a key of the configuration gives.
func listenAt(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s: %s is in use by another process: end that one, or choose another port", key, address)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}

// advertise gives the address at which other processes reach this one, "" where
// peers are off, and how they talk.
func (p *process) advertise(c *config.Peers) (string, credentials.TransportCredentials, error) {
	if c == nil {
		return "", nil, nil
	}
	address, err := c.AdvertiseAddress(p.peerDoor.Addr())
	if err != nil {
		return "", nil, err
	}
	if c.Insecure {
		return address, insecure.NewCredentials(), nil
	}
	both, err := c.TLS.Server()
	if err != nil {
		return "", nil, fmt.Errorf("peers.tls.%w", err)
	}
	client, err := c.TLS.Client()
	if err != nil {
		return "", nil, fmt.Errorf("peers.tls.%w", err)
	}
	both.RootCAs, both.ServerName = client.RootCAs, client.ServerName
	return address, credentials.NewTLS(both), nil
}

// server makes a server that outlives a bug in one call.
func (p *process) server(opts ...grpc.ServerOption) *grpc.Server {
	opts = append(opts, grpc.MaxRecvMsgSize(maxMessage),
		// Calls wait for their commit on goroutines whose stacks have grown
		// already; more calls at a time get new ones.
		grpc.NumStreamWorkers(256),
		// Fixed windows: measuring them, as the default does, costs a ping
		// every few messages.
		grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window))
	return grpc.NewServer(append(opts, frontdoor.Recover(p.log)...)...)
}

// window is how many bytes may be on their way in a stream, and in a connection.
const window = 1 << 20

const (
	// maxCommand fits into a commands topic with the brokers' default limit of
	// 1,048,588 bytes a batch, headers included.
	maxCommand = 1_000_000
	// maxMessage lets a caller hear of maxCommand from us instead of from gRPC.
	maxMessage = 16 << 20
)

// stopTimeout bounds how long open calls may take once the groups are left.
const stopTimeout = 5 * time.Second

// stopDoors has the peers hang up first: this process is no member any more.
func (p *process) stopDoors() {
	if p.peers != nil {
		p.peers.Farewell()
	}
	for _, s := range p.served {
		hard := time.AfterFunc(stopTimeout, s.server.Stop)
		s.server.GracefulStop()
		hard.Stop()
	}
	p.admin.stop()
}
