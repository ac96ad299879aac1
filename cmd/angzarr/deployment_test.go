package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// deployment is some serve processes around one Kafka, with one domain whose
// business logic is in the test's own process.
type deployment struct {
	*testing.T
	broker  *logtest.Broker
	client  *kgo.Client
	domain  string
	dir     string
	sidecar []*sidecar
}

// sidecar is a serve process. It keeps its addresses when it starts again.
type sidecar struct {
	*running
	config string
	peer   string        // where others reach it, if they may
	gate   *gate         // the way there, with peersGated
	wire   *logtest.Wire // to the broker, if it is on one
	door   pb.BusinessCoordinatorClient
	query  pb.EventQueryClient
	conn   *grpc.ClientConn
	turns  atomic.Int32 // how often it has come and gone: odd while it is there
}

// How processes reach each other, as the configuration says it.
const (
	peersOff      = ""
	peersInsecure = "peers: {listen: '%s', insecure: true}"
	peersGated    = "peers: {listen: '%s', advertise: '%s', insecure: true}"
	peersTLS      = "peers: {listen: '%s', tls: {ca: ca.pem, cert: ca.pem, key: key.pem}}"
)

// deploy starts processes. They take over no partition yet.
func deploy(t *testing.T, processes int, peers string, register func(*grpc.Server)) *deployment {
	t.Helper()
	return deployBy(t, processes, peers, register, func(_ *sidecar, brokers []string) []string { return brokers })
}

// onWires gives each process a wire of its own to the broker.
func onWires(t *testing.T) func(*sidecar, []string) []string {
	return func(s *sidecar, brokers []string) []string {
		s.wire = logtest.NewWire(t, brokers[0])
		return []string{s.wire.Addr()}
	}
}

// deployBy is deploy with another way to the brokers.
func deployBy(t *testing.T, processes int, peers string, register func(*grpc.Server), way func(*sidecar, []string) []string) *deployment {
	t.Helper()
	d := &deployment{T: t, broker: logtest.Start(t), dir: t.TempDir()}
	d.domain, d.client = d.broker.Domain("deployed"), d.broker.Client(t)
	server := grpc.NewServer()
	register(server)
	logic, err := listenAndServe(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	if peers == peersTLS {
		d.writeCertificate()
	}
	for i := range processes {
		ports := freePorts(t, 2)
		s := &sidecar{config: filepath.Join(d.dir, fmt.Sprintf("%d.yaml", i))}
		peered := peers
		if peers != peersOff && peers != peersGated {
			s.peer = ports[1]
			peered = fmt.Sprintf(peers, ports[1])
		}
		if peers == peersGated {
			s.gate = newGate(t, ports[1])
			s.peer = s.gate.Addr().String()
			peered = fmt.Sprintf(peers, ports[1], s.peer)
		}
		config := fmt.Sprintf(`
listen: %s
admin: 127.0.0.1:0
%s
log: {type: kafka, brokers: [%s], partitions: 6, replication_factor: 1}
business_logic: [{domain: %s, address: '%s'}]
`, ports[0], peered, strings.Join(way(s, d.broker.Cluster.Brokers), ", "), d.domain, logic)
		if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.conn, err = grpc.NewClient(ports[0], grpc.WithTransportCredentials(insecure.NewCredentials()),
			// The channel's own backoff is not what is tested.
			grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: time.Second})); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.conn.Close() })
		s.door, s.query = pb.NewBusinessCoordinatorClient(s.conn), pb.NewEventQueryClient(s.conn)
		d.sidecar = append(d.sidecar, s)
		d.start(s)
	}
	return d
}

// writeCertificate makes one that is its own authority.
func (d *deployment) writeCertificate() {
	d.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		d.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		d.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		d.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"ca.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(d.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			d.Fatal(err)
		}
	}
}

// start starts a process, and returns once it takes calls.
func (d *deployment) start(s *sidecar) {
	d.Helper()
	s.running = start(d.T, d.dir, "serve", "--config", s.config)
	s.wait(d.T, "msg=ready")
	s.turns.Add(1)
}

// term has a process stop by itself; it must do so cleanly.
func (d *deployment) term(s *sidecar) {
	d.Helper()
	s.turns.Add(1)
	s.stop(d.T, syscall.SIGTERM)
}

// kill ends a process at once.
func (d *deployment) kill(s *sidecar) {
	d.Helper()
	s.turns.Add(1)
	if err := s.cmd.Process.Kill(); err != nil {
		d.Fatal(err)
	}
	<-s.ended
}

// end stops all processes that run; each must end cleanly.
func (d *deployment) end() {
	d.Helper()
	for _, s := range d.sidecar {
		d.term(s)
	}
}

// owns waits until a process that was started owns something.
func (d *deployment) owns(s *sidecar) {
	d.Helper()
	s.wait(d.T, "took over a partition")
}

// restarts is how many to make: all that is asked for on a real Kafka, a few
// where every developer waits for them.
func (d *deployment) restarts(all, few int) int {
	if d.broker.Fake != nil {
		return few
	}
	return all
}

// freePorts are addresses at which nobody listens. They lie below the ports that
// the system gives to outgoing connections: a process that stops and starts must
// find its own free again.
func freePorts(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for tries := 0; len(addresses) < n; tries++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+mathrand.IntN(20_000)))
		if err != nil {
			if tries > 100 {
				t.Fatal(err)
			}
			continue
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// echoLogic answers a command with one event: the command's own payload.
type echoLogic struct {
	pb.UnimplementedBusinessLogicServer
}

func (echoLogic) Handle(_ context.Context, c *pb.ContextualCommand) (*pb.EventBook, error) {
	return &pb.EventBook{Pages: []*pb.EventPage{{Event: c.Command.Pages[0].Command}}}, nil
}

func withEcho(s *grpc.Server) { pb.RegisterBusinessLogicServer(s, echoLogic{}) }

// command is one for echoLogic. Its payload is its id.
func (d *deployment) command(root log.Root, id string) *pb.CommandBook {
	payload, err := anypb.New(wrapperspb.String(id))
	if err != nil {
		d.Fatal(err)
	}
	return &pb.CommandBook{
		Cover:     &pb.Cover{Domain: d.domain, Root: &pb.UUID{Value: root[:]}},
		Pages:     []*pb.CommandPage{{Command: payload}},
		CommandId: id,
	}
}
