package query_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/query"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/angzarr/angzarr-kafka/snapshots"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// known are the domains of a test, which may go.
type known struct {
	mu      sync.Mutex
	domains map[string]int32
	there   func(domain string) bool // asked about those that are to be forgotten
}

func (k *known) Find(_ context.Context, field, domain string) (int32, *status.Status) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.domains[domain] == 0 {
		return 0, status.Newf(codes.NotFound, "%s: no domain %q", field, domain)
	}
	return k.domains[domain], nil
}

func (k *known) Forget(domain string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.there == nil || !k.there(domain) {
		delete(k.domains, domain)
	}
}

func (k *known) All(context.Context) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.domains)), nil
}

func (k *known) add(d log.Domain) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.domains[d.Name] = d.Partitions
}

// world is a domain on the log, a client that writes to it, and EventQuery on
// clients of its own.
type world struct {
	*testing.T
	broker *logtest.Broker
	domain log.Domain
	writer *kgo.Client
	query  angzarr.EventQueryClient
	known  *known
	admin  *log.Admin

	// Of the last one that was served:
	service *query.Service
	counts  *sdkmetric.ManualReader
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, logtest.Start(t))
}

func newWorldOn(t *testing.T, b *logtest.Broker) *world {
	t.Helper()
	admin, err := b.Cluster.NewAdmin("test-query")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	w := &world{T: t, broker: b, admin: admin}
	if w.domain, err = admin.EnsureDomain(t.Context(), b.Domain("query"), log.TopicSettings{Partitions: 3, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	w.writer = b.Client(t, kgo.TransactionalID(w.domain.Name), kgo.RecordPartitioner(kgo.ManualPartitioner()))

	w.known = &known{domains: map[string]int32{w.domain.Name: w.domain.Partitions}}
	w.query = w.serve(b.Cluster)
	return w
}

// serve gives EventQuery of a process of its own, with clients of that cluster.
func (w *world) serve(cluster log.Cluster) angzarr.EventQueryClient {
	w.Helper()
	return w.serveWith(cluster, nil)
}

// serveWith is serve, with a shelf.
func (w *world) serveWith(cluster log.Cluster, shelf *snapshots.Shelf) angzarr.EventQueryClient {
	w.Helper()
	admin, err := cluster.NewAdmin("test-query-server")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(admin.Close)
	w.counts = sdkmetric.NewManualReader()
	metrics, err := query.NewMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.counts)).Meter(""))
	if err != nil {
		w.Fatal(err)
	}
	s := grpc.NewServer()
	service := query.New(query.Config{Cluster: cluster, Admin: admin, Domains: w.known, Shelf: shelf, Metrics: metrics, Logger: slog.New(slog.DiscardHandler)})
	w.service = service
	angzarr.RegisterEventQueryServer(s, service)
	l := bufconn.Listen(1 << 20)
	go s.Serve(l)
	w.Cleanup(s.Stop)
	w.Cleanup(service.Stop)
	conn, err := grpc.NewClient("passthrough:///query", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	return angzarr.NewEventQueryClient(conn)
}

// page makes the record of a root's page.
func (w *world) page(root uuid.UUID, sequence uint32, value string) *kgo.Record {
	p := log.Page{
		Root: log.Root(root), Sequence: sequence, CreatedAt: time.Unix(1, 0), TypeURL: "type.googleapis.com/x.Y",
		Value: []byte(value), Cause: log.Cause{CommandID: "c", CorrelationID: "c"},
	}
	r := p.Encode(w.domain.Name, partitioning.Of(log.Root(root), w.domain.Partitions))
	return r.ToClient()
}

func (w *world) write(records ...*kgo.Record) {
	w.Helper()
	w.begin(records...)
	w.end(kgo.TryCommit)
}

func (w *world) begin(records ...*kgo.Record) {
	w.Helper()
	if err := w.writer.BeginTransaction(); err != nil {
		w.Fatal(err)
	}
	if err := w.writer.ProduceSync(w.Context(), records...).FirstErr(); err != nil {
		w.Fatal(err)
	}
	if err := log.Enter(w.Context(), w.writer, records[0].Topic, records[0].Partition); err != nil {
		w.Fatal(err)
	}
}

func (w *world) end(how kgo.TransactionEndTry) {
	if err := w.writer.EndTransaction(context.Background(), how); err != nil {
		w.Error(err)
	}
}

// ask gives the books that answer a query.
func (w *world) ask(q *angzarr.Query) ([]*angzarr.EventBook, error) {
	ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
	defer cancel()
	stream, err := w.query.GetEvents(ctx, q)
	if err != nil {
		return nil, err
	}
	var books []*angzarr.EventBook
	for {
		book, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return books, nil
		}
		if err != nil {
			return books, err
		}
		books = append(books, book)
	}
}

// of is a query about a root.
func (w *world) of(root uuid.UUID, lower, upper uint32) *angzarr.Query {
	return &angzarr.Query{Domain: w.domain.Name, Root: &angzarr.UUID{Value: root[:]}, LowerBound: lower, UpperBound: upper}
}

// numbers are those of the books' pages.
func numbers(books []*angzarr.EventBook) string {
	var all []string
	for _, b := range books {
		for _, p := range b.Pages {
			all = append(all, fmt.Sprint(p.GetNum()))
		}
	}
	return strings.Join(all, " ")
}

func TestGetEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root, never := uuid.New(), uuid.New()
	// Pages of others lie between a root's own, and a snapshot does.
	for n := uint32(1); n <= 5; n++ {
		w.write(w.page(neighbour(w, root), n, "other"), w.page(root, n, "mine"), w.page(uuid.New(), 1, "other"))
	}
	snapshot := w.page(root, 1, "")
	snapshot.Key = log.SnapshotKey(log.Root(root))
	w.write(snapshot)
	w.begin(w.page(root, 6, "aborted"))
	w.end(kgo.TryAbort)

	for _, tc := range []struct {
		name         string
		root         uuid.UUID
		lower, upper uint32
		want         string
	}{
		{"all", root, 0, 0, "1 2 3 4 5"},
		{"from", root, 3, 0, "3 4 5"},
		{"to", root, 0, 2, "1 2"},
		{"between", root, 2, 4, "2 3 4"},
		{"one", root, 5, 5, "5"},
		{"beyond the last", root, 6, 0, ""},
		{"far beyond", root, 2, 4_294_967_295, "2 3 4 5"},
		{"never written", never, 0, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			books, err := w.ask(w.of(tc.root, tc.lower, tc.upper))
			if err != nil || numbers(books) != tc.want {
				t.Errorf("pages %q, %v; want %q", numbers(books), err, tc.want)
			}
			for _, b := range books {
				if b.Cover.Domain != w.domain.Name || string(b.Cover.Root.Value) != string(tc.root[:]) {
					t.Errorf("a book has the cover %v", b.Cover)
				}
			}
		})
	}
	books, _ := w.ask(w.of(root, 1, 1))
	want := &angzarr.EventPage{Sequence: &angzarr.EventPage_Num{Num: 1}, CreatedAt: timestamppb.New(time.Unix(1, 0)), Event: books[0].Pages[0].Event}
	if got := books[0].Pages[0]; !proto.Equal(got, want) || got.Event.TypeUrl != "type.googleapis.com/x.Y" || string(got.Event.Value) != "mine" {
		t.Errorf("a page reads %v", got)
	}
}

// neighbour is another root of the same partition.
func neighbour(w *world, root uuid.UUID) uuid.UUID {
	for {
		other := uuid.New()
		if partitioning.Of(log.Root(other), w.domain.Partitions) == partitioning.Of(log.Root(root), w.domain.Partitions) {
			return other
		}
	}
}

// Books stay far below what gRPC takes by default, whatever the pages' size.
func TestChunks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	sizes := []int{10, 100_000, 100_000, 100_000, 900_000, 10, 10, 300_000}
	for i, n := range sizes {
		w.write(w.page(root, uint32(i+1), strings.Repeat("x", n)))
	}
	books, err := w.ask(w.of(root, 0, 0))
	if err != nil || numbers(books) != "1 2 3 4 5 6 7 8" {
		t.Fatalf("pages %s, %v", numbers(books), err)
	}
	if len(books) != 5 {
		t.Errorf("they came in %d books", len(books))
	}
	for _, b := range books {
		if n := proto.Size(b); n > 300<<10 && len(b.Pages) > 1 {
			t.Errorf("%d pages came in one book of %d bytes", len(b.Pages), n)
		}
	}
}

func TestBadQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := &angzarr.UUID{Value: make([]byte, 16)}
	for name, tc := range map[string]struct {
		query *angzarr.Query
		code  codes.Code
		says  string
	}{
		"no domain":      {&angzarr.Query{Root: root}, codes.InvalidArgument, "domain:"},
		"no root":        {&angzarr.Query{Domain: w.domain.Name}, codes.InvalidArgument, "root: is missing"},
		"short root":     {&angzarr.Query{Domain: w.domain.Name, Root: &angzarr.UUID{Value: make([]byte, 15)}}, codes.InvalidArgument, "root:"},
		"long root":      {&angzarr.Query{Domain: w.domain.Name, Root: &angzarr.UUID{Value: make([]byte, 17)}}, codes.InvalidArgument, "root:"},
		"bounds crossed": {&angzarr.Query{Domain: w.domain.Name, Root: root, LowerBound: 3, UpperBound: 2}, codes.InvalidArgument, "lowerBound:"},
		"unknown domain": {&angzarr.Query{Domain: "nowhere", Root: root}, codes.NotFound, `domain: no domain "nowhere"`},
		"a position":     {&angzarr.Query{Domain: w.domain.Name, Root: root, Position: []byte("x")}, codes.InvalidArgument, "position: is for Synchronize"},
		"two moments":    {&angzarr.Query{Domain: w.domain.Name, Root: root, AsOfSequence: 1, AsOfTime: timestamppb.New(time.Unix(1, 0))}, codes.InvalidArgument, "as_of_time: "},
		"a moment and a bound": {&angzarr.Query{Domain: w.domain.Name, Root: root, AsOfSequence: 1, LowerBound: 1},
			codes.InvalidArgument, "without lowerBound"},
		"the future": {&angzarr.Query{Domain: w.domain.Name, Root: root, AsOfTime: timestamppb.New(time.Now().Add(time.Hour))}, codes.InvalidArgument, "as_of_time: "},
		"no time":    {&angzarr.Query{Domain: w.domain.Name, Root: root, AsOfTime: &timestamppb.Timestamp{Nanos: -1}}, codes.InvalidArgument, "as_of_time: "},
	} {
		t.Run(name, func(t *testing.T) {
			books, err := w.ask(tc.query)
			if st := status.Convert(err); st.Code() != tc.code || !strings.Contains(st.Message(), tc.says) || len(books) > 0 {
				t.Errorf("answered %v, %v", books, err)
			}
		})
	}
}

// A page that nobody can read is no reason to try again, and hides no other
// root's.
func TestUnreadablePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	other := neighbour(w, root)
	broken := w.page(root, 1, "x")
	broken.Headers = nil
	w.write(broken, w.page(other, 1, "x"))
	if _, err := w.ask(w.of(root, 0, 0)); status.Code(err) != codes.DataLoss {
		t.Errorf("answered %v", err)
	}
	if books, err := w.ask(w.of(other, 0, 0)); err != nil || numbers(books) != "1" {
		t.Errorf("another root's pages are %q, %v", numbers(books), err)
	}
}

// What is committed before the question is in the answer, whoever committed it;
// what is being committed is waited for, and never shown before.
func TestReadYourWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	root := uuid.New()
	want := ""
	for n := uint32(1); n <= 20; n++ {
		w.write(w.page(root, n, "x"))
		want = strings.TrimSpace(want + fmt.Sprint(" ", n))
		if books, err := w.ask(w.of(root, 0, 0)); err != nil || numbers(books) != want {
			t.Fatalf("after page %d was committed: %q, %v", n, numbers(books), err)
		}
	}

	for _, tc := range []struct {
		end  kgo.TransactionEndTry
		want string
	}{{kgo.TryAbort, want}, {kgo.TryCommit, want + " 21"}} {
		w.begin(w.page(root, 21, "open"))
		done := make(chan string, 1)
		go func() {
			books, err := w.ask(w.of(root, 0, 0))
			done <- fmt.Sprint(numbers(books), " ", err)
		}()
		select {
		case early := <-done:
			t.Errorf("answered %q while the transaction was open", early)
		case <-time.After(50 * time.Millisecond):
		}
		w.end(tc.end)
		if got := <-done; got != tc.want+" <nil>" {
			t.Errorf("answered %q, want %q", got, tc.want)
		}
	}
}

func TestDomainIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := kadm.NewClient(w.broker.Client(t))
	if _, err := admin.DeleteTopics(t.Context(), log.EventsTopic(w.domain.Name)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, err := w.ask(w.of(uuid.New(), 0, 0))
		if status.Code(err) == codes.NotFound {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("answered %v", err)
		}
	}
}
