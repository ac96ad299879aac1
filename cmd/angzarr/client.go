package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/angzarr/angzarr-kafka/schema"
)

const (
	defaultServer = "127.0.0.1:50050"
	// connectPatience bounds the wait for a server that neither answers nor
	// refuses.
	connectPatience = 5 * time.Second
	// largestMessage is above whatever limits the server has: those are its own
	// to name.
	largestMessage = 64 << 20
)

// client is what the commands that talk to a front door have in common.
type client struct {
	typeFlags
	server string
	output string
}

func (c *client) addFlags(cmd *cobra.Command) {
	server := defaultServer
	if s := os.Getenv("ANGZARR_SERVER"); s != "" {
		server = s
	}
	cmd.Flags().StringVar(&c.server, "server", server, "address of a front door, also by ANGZARR_SERVER")
	c.typeFlags.add(cmd)
	addOutput(cmd, &c.output)
}

// wants takes exactly these arguments, and names those that are missing.
func wants(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("missing: %s", strings.Join(names[len(args):], " "))
		case len(args) > len(names):
			return fmt.Errorf("%q is one argument too many; quotes keep JSON together", args[len(names)])
		}
		return nil
	}
}

// frontDoor is an open connection, and the types that payloads there have.
type frontDoor struct {
	conn  *grpc.ClientConn
	types *schema.Types
}

func (d *frontDoor) close() { _ = d.conn.Close() }

// open checks the flags and connects.
func (c *client) open(ctx context.Context) (*frontDoor, error) {
	given, err := c.types(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := connect(ctx, c.server, aFrontDoor)
	if err != nil {
		return nil, err
	}
	return &frontDoor{conn, schema.Merge(given, schema.FromReflection(conn, c.server), schema.Linked())}, nil
}

// callee is whom a command calls, and how people say where that is.
type callee struct{ what, flag, hint string }

var (
	aFrontDoor    = callee{"front door", "--server", "An address is set by --server, or by ANGZARR_SERVER; `angzarr dev` starts a front door at " + defaultServer}
	businessLogic = callee{"business logic", "--logic", "An address is set by --logic; the service itself must run"}
)

// connect returns a connection that stands. A server that isn't there is told at
// once, with its address and how to set it.
func connect(ctx context.Context, address string, to callee) (*grpc.ClientConn, error) {
	var lastDial lastError
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage), grpc.MaxCallSendMsgSize(largestMessage)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			lastDial.set(err)
			return conn, err
		}))
	if err != nil {
		return nil, usageError{fmt.Errorf("%s %s: %w", to.flag, address, err)}
	}
	waiting, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state != connectivity.TransientFailure && conn.WaitForStateChange(waiting, state) {
			continue
		}
		_ = conn.Close()
		return nil, unreachable(ctx, address, to, state, lastDial.get())
	}
	return conn, nil
}

func unreachable(ctx context.Context, address string, to callee, state connectivity.State, dialed error) error {
	why := dialed
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case state != connectivity.TransientFailure:
		why = fmt.Errorf("no answer within %v", connectPatience)
	case why == nil:
		why = errors.New("its name is not known, or what answers there is no " + to.what)
	}
	return unknownError{fmt.Errorf("no %s at %s: %w\n%s", to.what, address, why, to.hint)}
}

// lastError is an error of another goroutine.
type lastError struct {
	mu  sync.Mutex
	err error
}

func (l *lastError) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lastError) get() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
