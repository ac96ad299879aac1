package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/deadletter"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/partitioning"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// letters serves DeadLetters until the test ends.
func (w *world) letters() angzarr.DeadLettersClient {
	w.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer()
	angzarr.RegisterDeadLettersServer(s, deadletter.New(deadletter.Config{
		Cluster: w.broker.Cluster, Admin: w.admin, Writer: w.writer, Domains: w.domains, Poster: w.topic(), Logger: w.broker.Cluster.Logger,
	}))
	go s.Serve(l)
	w.Cleanup(s.Stop)
	conn, err := grpc.NewClient("passthrough:///letters", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	return angzarr.NewDeadLettersClient(conn)
}

// all receives all of a stream.
func all[T any](stream grpc.ServerStreamingClient[T], err error) (got []*T, _ error) {
	for err == nil {
		var one *T
		if one, err = stream.Recv(); err == nil {
			got = append(got, one)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return got, err
}

// put writes a command to the topic and gives its letter's id.
func (w *world) put(c *angzarr.CommandBook) string {
	w.Helper()
	value, err := proto.Marshal(c)
	if err != nil {
		w.Fatal(err)
	}
	return w.putRecord(log.Root(c.Cover.Root.Value), value)
}

func (w *world) putRecord(root log.Root, value []byte) string {
	w.Helper()
	topic, partition := log.CommandsTopic(w.domain.Name), partitioning.Of(root, w.domain.Partitions)
	ends, err := w.admin.HighWatermarks(w.Context(), topic)
	if err == nil {
		err = w.writer.Write(w.Context(), &log.Record{Topic: topic, Partition: partition, Key: root[:], Value: value})
	}
	if err != nil {
		w.Fatal(err)
	}
	return log.Source{Topic: topic, Partition: partition, Offset: ends[partition]}.String()
}

func (w *world) list(client angzarr.DeadLettersClient, r *angzarr.ListDeadLettersRequest) (found []*angzarr.DeadLetter) {
	w.Helper()
	found, err := all(client.List(w.within(20*time.Second), r))
	if err != nil {
		w.Fatal(err)
	}
	return found
}

func idsOf(letters []*angzarr.DeadLetter) string {
	var ids []string
	for _, l := range letters {
		ids = append(ids, l.Id)
	}
	return strings.Join(ids, " ")
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	var mended atomic.Bool
	w := newWorld(t, func(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		if !mended.Load() {
			return nil, status.Error(codes.Internal, "it broke")
		}
		return echo(ctx, c)
	})
	worker, _ := w.worker(partitioning.NewIdentity(""))
	w.owns(worker)
	client := w.letters()
	ours := func(change func(*angzarr.DeadLetterSelection)) *angzarr.ListDeadLettersRequest {
		s := &angzarr.DeadLetterSelection{Domain: w.domain.Name}
		if change != nil {
			change(s)
		}
		return &angzarr.ListDeadLettersRequest{Selection: s}
	}
	begun := time.Now()
	root, other := w.rootIn(1), w.rootIn(1)
	first := w.put(w.command(root, "first", "1"))
	second := w.put(w.command(root, "", "2"))
	third := w.put(w.command(other, "third", "3"))
	garbage := w.putRecord(log.Root(w.rootIn(2)), []byte("garbage"))
	w.until("all are dead letters", func() bool { return len(w.list(client, ours(nil))) == 4 })
	someRoot := func(r uuid.UUID) *angzarr.UUID { return &angzarr.UUID{Value: r[:]} }

	t.Run("list", func(t *testing.T) {
		for name, tc := range map[string]struct {
			change func(*angzarr.DeadLetterSelection)
			want   string
		}{
			"a root's":           {func(s *angzarr.DeadLetterSelection) { s.Root = someRoot(root) }, first + " " + second},
			"another's":          {func(s *angzarr.DeadLetterSelection) { s.Root = someRoot(other) }, third},
			"by cause":           {func(s *angzarr.DeadLetterSelection) { s.Cause = "INVALID_ARGUMENT" }, garbage},
			"by cause and root":  {func(s *angzarr.DeadLetterSelection) { s.Cause, s.Root = "Internal", someRoot(other) }, third},
			"by id":              {func(s *angzarr.DeadLetterSelection) { s.Ids = []string{third} }, third},
			"later than they":    {func(s *angzarr.DeadLetterSelection) { s.From = timestamppb.New(time.Now()) }, ""},
			"earlier":            {func(s *angzarr.DeadLetterSelection) { s.To = timestamppb.New(begun) }, ""},
			"in between, a root": {func(s *angzarr.DeadLetterSelection) { s.From, s.Root = timestamppb.New(begun), someRoot(other) }, third},
		} {
			if got := idsOf(w.list(client, ours(tc.change))); got != tc.want {
				t.Errorf("%s: %s, want %s", name, got, tc.want)
			}
		}
		if got := w.list(client, &angzarr.ListDeadLettersRequest{Selection: &angzarr.DeadLetterSelection{Ids: []string{third}}}); idsOf(got) != third {
			t.Errorf("of all domains: %v", got)
		}
		for _, l := range w.list(client, ours(nil)) {
			if l.Record != nil || l.Size == 0 || l.Attempts != 1 || l.Time.AsTime().Before(begun) || l.Domain != w.domain.Name {
				t.Errorf("%v", l)
			}
		}
	})
	t.Run("get", func(t *testing.T) {
		l, err := client.Get(t.Context(), &angzarr.GetDeadLetterRequest{Domain: w.domain.Name, Id: second})
		var c angzarr.CommandBook
		if err != nil || proto.Unmarshal(l.Record.Value, &c) != nil || string(l.Record.Key) != string(root[:]) ||
			l.CommandId != second || l.NextPage != 1 || l.Cause != "INTERNAL" || !strings.Contains(l.Message, "it broke") {
			t.Errorf("%v, %v", l, err)
		}
	})
	t.Run("drop", func(t *testing.T) {
		_, err := client.Drop(t.Context(), &angzarr.DropDeadLetterRequest{Domain: w.domain.Name, Id: garbage})
		wantCode(t, err, codes.InvalidArgument)
		if _, err := client.Drop(t.Context(), &angzarr.DropDeadLetterRequest{Domain: w.domain.Name, Id: garbage, Reason: "a test"}); err != nil {
			t.Fatal(err)
		}
		_, err = client.Drop(t.Context(), &angzarr.DropDeadLetterRequest{Domain: w.domain.Name, Id: garbage, Reason: "again"})
		wantCode(t, err, codes.NotFound)
		dropped := ours(nil)
		dropped.Dropped = true
		if got := w.list(client, dropped); len(got) != 1 || got[0].Id != garbage || got[0].Dropped != "a test" || got[0].Cause != "INVALID_ARGUMENT" {
			t.Errorf("dropped are %v", got)
		}
		if got := w.list(client, ours(nil)); len(got) != 3 {
			t.Errorf("left are %s", idsOf(got))
		}
	})
	replay := func(t *testing.T, s *angzarr.DeadLetterSelection) (told []string) {
		t.Helper()
		got, err := all(client.Replay(w.within(30*time.Second), &angzarr.ReplayDeadLettersRequest{Selection: s, PerSecond: 1000}))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			told = append(told, fmt.Sprintf("%s %v %v %d", r.Letter.Id, codes.Code(r.Outcome.GetCode()), r.Outcome.GetDeadLetter(), r.Outcome.GetFirstPage()))
		}
		return told
	}
	t.Run("replay what still fails", func(t *testing.T) {
		if got := replay(t, &angzarr.DeadLetterSelection{Domain: w.domain.Name, Ids: []string{third}}); len(got) != 1 || got[0] != third+" Internal true 0" {
			t.Errorf("told %v", got)
		}
		if got := w.list(client, ours(func(s *angzarr.DeadLetterSelection) { s.Root = someRoot(other) })); len(got) != 1 || got[0].Attempts != 2 || got[0].Id != third {
			t.Errorf("left are %v", got)
		}
	})
	t.Run("replay", func(t *testing.T) {
		mended.Store(true)
		got := replay(t, &angzarr.DeadLetterSelection{Domain: w.domain.Name})
		if len(got) != 3 {
			t.Errorf("told %v", got)
		}
		if left := w.list(client, ours(nil)); len(left) != 0 {
			t.Errorf("left are %v", left)
		}
		if pages := w.pages(root); pages != "1:1 2:2 " {
			t.Errorf("the log holds %s", pages)
		}
		if told := replay(t, &angzarr.DeadLetterSelection{Domain: w.domain.Name}); len(told) != 0 {
			t.Errorf("with nothing left: %v", told)
		}
	})
}

func TestDeadLettersBadInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	client := w.letters()
	listing := func(s *angzarr.DeadLetterSelection) error {
		_, err := all(client.List(t.Context(), &angzarr.ListDeadLettersRequest{Selection: s}))
		return err
	}
	replaying := func(s *angzarr.DeadLetterSelection, rate float64) error {
		_, err := all(client.Replay(t.Context(), &angzarr.ReplayDeadLettersRequest{Selection: s, PerSecond: rate}))
		return err
	}
	getting := func(domain, id string) error {
		_, err := client.Get(t.Context(), &angzarr.GetDeadLetterRequest{Domain: domain, Id: id})
		return err
	}
	known := w.domain.Name
	for _, tc := range []struct {
		name string
		err  error
		code codes.Code
		part string
	}{
		{"no such domain", listing(&angzarr.DeadLetterSelection{Domain: "none"}), codes.NotFound, "selection.domain: "},
		{"a root of 15 bytes", listing(&angzarr.DeadLetterSelection{Root: &angzarr.UUID{Value: make([]byte, 15)}}), codes.InvalidArgument, "selection.root: "},
		{"no such cause", listing(&angzarr.DeadLetterSelection{Cause: "X"}), codes.InvalidArgument, "selection.cause: "},
		{"no time", listing(&angzarr.DeadLetterSelection{From: &timestamppb.Timestamp{Nanos: -1}}), codes.InvalidArgument, "selection.from: "},
		{"no id", listing(&angzarr.DeadLetterSelection{Ids: []string{"x"}}), codes.InvalidArgument, "selection.ids: "},
		{"a replay of all domains", replaying(nil, 1), codes.InvalidArgument, "selection.domain: "},
		{"a replay in no such domain", replaying(&angzarr.DeadLetterSelection{Domain: "none"}, 1), codes.NotFound, "selection.domain: "},
		{"a rate below 0", replaying(&angzarr.DeadLetterSelection{Domain: known}, -1), codes.InvalidArgument, "per_second: "},
		{"a rate beyond all", replaying(&angzarr.DeadLetterSelection{Domain: known}, 1e9), codes.InvalidArgument, "per_second: "},
		{"get in no domain", getting("", "t/0/0"), codes.InvalidArgument, "domain: "},
		{"get in no such domain", getting("none", "t/0/0"), codes.NotFound, "domain: "},
		{"get no id", getting(known, "t"), codes.InvalidArgument, "id: "},
		{"get none", getting(known, "t/0/0"), codes.NotFound, "id: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if st := wantCode(t, tc.err, tc.code); !strings.HasPrefix(st.Message(), tc.part) {
				t.Errorf("it reads %q", st.Message())
			}
		})
	}
}
