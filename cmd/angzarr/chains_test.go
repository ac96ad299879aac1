package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/coordinators/saga"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// chain is the business logic of three domains, and the saga that leads from the
// first by the second to the third. What is said ends with what is to happen:
//
//	first: go ──► second: go on ──► third: finish, which refuses where it is "short"
//	  undo ◄────── undone ◄───────────┘
type chain struct {
	pb.UnimplementedBusinessLogicServer
	first, second, third string
	mended               atomic.Bool
}

func (s *chain) Handle(_ context.Context, c *pb.ContextualCommand) (*pb.EventBook, error) {
	domain, command := c.Command.Cover.Domain, c.Command.Pages[0].Command
	event := said(command)
	told := &pb.RejectionNotification{}
	switch {
	case command.UnmarshalTo(told) == nil:
		rejected := said(told.Command.Pages[0].Command)
		if strings.HasSuffix(rejected, "deaf") {
			return nil, status.Error(codes.FailedPrecondition, "I don't want to know")
		}
		event = fmt.Sprintf("undone, as %s was rejected: %s", rejected, told.Message)
	case domain == s.third && !strings.HasSuffix(event, "well"):
		return nil, status.Error(codes.FailedPrecondition, "short of it")
	case domain == s.second && strings.HasSuffix(event, "broken") && !s.mended.Load():
		return nil, status.Error(codes.Internal, "it broke")
	case domain == s.second && strings.HasSuffix(event, "broken"):
		return nil, status.Error(codes.FailedPrecondition, "too late")
	}
	return &pb.EventBook{Pages: []*pb.EventPage{{Event: says("%s", event)}}}, nil
}

// follow is the saga: a chain has another Handle.
type follow struct {
	pb.UnimplementedSagaServer
	chain *chain
}

func (f follow) HandleSync(_ context.Context, b *pb.EventBook) (*pb.SynchronousProcessingResponse, error) {
	s, event := f.chain, said(b.Pages[0].Event)
	verb, rest, _ := strings.Cut(event, " ")
	to := func(domain, command string) (*pb.SynchronousProcessingResponse, error) {
		return &pb.SynchronousProcessingResponse{Commands: []*pb.CommandBook{{
			Cover: &pb.Cover{Domain: domain, Root: b.Cover.Root}, Pages: []*pb.CommandPage{{Command: says("%s", command)}},
		}}}, nil
	}
	switch {
	case verb == "around":
		return to(b.Cover.Domain, event)
	case verb == "go" && b.Cover.Domain == s.first:
		return to(s.second, "on "+rest)
	case verb == "on":
		return to(s.third, "finish "+rest)
	case strings.HasPrefix(event, "undone") && b.Cover.Domain == s.second:
		return to(s.first, "undo")
	}
	return &pb.SynchronousProcessingResponse{}, nil
}

// TestChainsOfSagas has one saga lead to the next, and failures come back the same
// way.
func TestChainsOfSagas(t *testing.T) {
	b := logtest.Start(t)
	s := &chain{first: b.Domain("first"), second: b.Domain("second"), third: b.Domain("third")}
	name := b.Domain("chain")
	server := grpc.NewServer()
	pb.RegisterBusinessLogicServer(server, s)
	pb.RegisterSagaServer(server, follow{chain: s})
	address, err := listenAndServe(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	dir := t.TempDir()
	config := fmt.Sprintf(`listen: 127.0.0.1:0
admin: 127.0.0.1:0
log: {brokers: ["%s"], partitions: 2}
business_logic:
  - {domain: %s, address: "%[5]s"}
  - {domain: %[3]s, address: "%[5]s"}
  - {domain: %[4]s, address: "%[5]s"}
sagas:
  - {name: %[6]s, domains: [%[2]s, %[3]s, %[4]s], address: "%[5]s"}
`, strings.Join(b.Cluster.Brokers, `","`), s.first, s.second, s.third, address, name)
	if err := os.WriteFile(filepath.Join(dir, "angzarr.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, dir, "serve", "--config", "angzarr.yaml")
	listen := r.wait(t, `msg=ready listen=(\S+)`)[1]
	door := dialDoor(t, listen)

	for _, tc := range []struct{ what, first, second, third string }{
		{"well", "go well", "on well", "finish well"},
		{"short", "go short, undo", "on short, undone, as finish short was rejected: short of it", ""},
		{"deaf", "go deaf", "on deaf", ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			root := uuid.New()
			door.say(t, s.first, root, "go "+tc.what)
			door.wait(t, s.first, root, tc.first)
			door.wait(t, s.second, root, tc.second)
			door.wait(t, s.third, root, tc.third)
			want := 0
			if tc.what == "deaf" {
				want = 1 // who refuses to be told ends it
			}
			waitFor(t, "its dead letters", func() bool { return len(lettersOf(t, b, s.second, root)) == want })
			for domain, commands := range map[string]int{s.first: strings.Count(tc.first, "undo"), s.second: 1 + strings.Count(tc.second, "undone") + want, s.third: 1} {
				if n := commandsFor(t, b, domain, root); n != commands {
					t.Errorf("%d commands of sagas for %s, want %d", n, domain, commands)
				}
			}
		})
	}

	t.Run("a loop is cut", func(t *testing.T) {
		root := uuid.New()
		door.say(t, s.first, root, "around")
		waitFor(t, "the loop is a dead letter", func() bool { return len(lettersOf(t, b, s.first, root)) == 1 })
		if n := len(strings.Split(door.says(t, t.Context(), s.first, root), ", ")); n != saga.MostHops+1 {
			t.Errorf("it went around %d times, want %d", n-1, saga.MostHops)
		}
		letter := lettersOf(t, b, s.first, root)[0]
		if letter.Cause != "FailedPrecondition" || letter.ID.Reader != log.SagaGroup(name, s.first) || letter.Attempts != 1 ||
			!strings.Contains(letter.Message, fmt.Sprintf("%d sagas, which is all that is allowed: it may be a loop", saga.MostHops)) {
			t.Errorf("the letter says %+v", letter)
		}
	})

	t.Run("replayed, and then rejected", func(t *testing.T) {
		root := uuid.New()
		door.say(t, s.first, root, "go broken")
		waitFor(t, "it is a dead letter", func() bool { return len(lettersOf(t, b, s.second, root)) == 1 })
		replay := func(want string) {
			t.Helper()
			if got := output(t, "dead-letters", "replay", s.second, "--root", root.String(), "--server", listen); !strings.Contains(got, want) {
				t.Errorf("the replay says %s, want %s", got, want)
			}
		}
		// Its cause still holds: it comes back, once, and nobody is told of it.
		replay("failed")
		letters := lettersOf(t, b, s.second, root)
		if len(letters) != 1 || letters[0].Attempts != 2 {
			t.Errorf("after a replay the letters are %v", letters)
		}
		if got := door.says(t, t.Context(), s.first, root); got != "go broken" {
			t.Errorf("it says %s", got)
		}
		s.mended.Store(true)
		replay("refused")
		door.wait(t, s.first, root, "go broken, undone, as on broken was rejected: too late")
		if letters := lettersOf(t, b, s.second, root); len(letters) != 0 {
			t.Errorf("it was answered, and the letters are %v", letters)
		}
		if n := commandsFor(t, b, s.first, root); n != 1 {
			t.Errorf("it was told %d times", n)
		}
	})
	r.stop(t, syscall.SIGTERM)
}

// output is what the program prints; its exit status may be any.
func output(t *testing.T, args ...string) string {
	t.Helper()
	var out strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	run(ctx, args, nil, &out, &out)
	return out.String()
}

// say gives a command that says so.
func (d doorOf) say(t *testing.T, domain string, root uuid.UUID, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err := d.Handle(ctx, &pb.CommandBook{
		Cover: &pb.Cover{Domain: domain, Root: &pb.UUID{Value: root[:]}}, Pages: []*pb.CommandPage{{Command: says("%s", what)}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// lettersOf gives the dead letters of a root that stand.
func lettersOf(t *testing.T, b *logtest.Broker, domain string, root uuid.UUID) (all []log.DeadLetter) {
	t.Helper()
	latest := make(map[string]*log.DeadLetter)
	for _, k := range logtest.ReadCommitted(t, b.Cluster, log.DeadLettersTopic(domain)) {
		r := log.FromClient(k)
		latest[string(r.Key)] = nil
		if letter, err := log.DecodeLetter(&r); err == nil && letter.Of(log.Root(root)) {
			latest[string(r.Key)] = &letter
		}
	}
	for _, l := range latest {
		if l != nil {
			all = append(all, *l)
		}
	}
	return all
}

// commandsFor counts the different commands for a root that sagas and rejections
// led to. Each must be in the topic once, unless it was replayed.
func commandsFor(t *testing.T, b *logtest.Broker, domain string, root uuid.UUID) int {
	t.Helper()
	ids := make(map[string]bool)
	for _, k := range logtest.ReadCommitted(t, b.Cluster, log.CommandsTopic(domain)) {
		r, c := log.FromClient(k), &pb.CommandBook{}
		if err := proto.Unmarshal(r.Value, c); err != nil {
			t.Fatal(err)
		}
		_, _, replayed := r.Replayed()
		if string(c.Cover.Root.Value) != string(root[:]) || replayed || r.Header(log.HeaderReplyTo) != nil {
			continue
		}
		if ids[c.CommandId] {
			t.Errorf("command %s is in its topic twice", c.CommandId)
		}
		ids[c.CommandId] = true
	}
	return len(ids)
}
