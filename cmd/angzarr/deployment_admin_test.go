package main

import (
	"bytes"
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/angzarr/angzarr-kafka/log"

	pb "github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// brittleLogic breaks until it is mended.
type brittleLogic struct {
	echoLogic
	mended *atomic.Bool
}

func (b brittleLogic) Handle(ctx context.Context, c *pb.ContextualCommand) (*pb.EventBook, error) {
	if !b.mended.Load() {
		return nil, status.Error(codes.Internal, "it broke")
	}
	return b.echoLogic.Handle(ctx, c)
}

// angzarr runs a command against a process and gives what it prints.
func (d *deployment) angzarr(s *sidecar, want int, args ...string) string {
	d.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(d.Context(), time.Minute)
	defer cancel()
	args = append(args, "--server", s.conn.Target())
	if got := run(ctx, args, strings.NewReader(""), &out, &errs); got != want {
		d.Fatalf("angzarr %s: exit status %d, want %d:\n%s%s", strings.Join(args, " "), got, want, &out, &errs)
	}
	return out.String() + errs.String()
}

// hears asks again until the answer has what is wanted in it.
func (d *deployment) hears(s *sidecar, status int, part string, args ...string) string {
	d.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		out := d.angzarr(s, status, args...)
		if strings.Contains(out, part) {
			return out
		}
		select {
		case <-again.C:
		case <-deadline.C:
			d.Fatalf("angzarr %s never said %q:\n%s", strings.Join(args, " "), part, out)
		}
	}
}

// From the terminal, through processes that may own the root or not: what broke is
// a dead letter until it is replayed, and who is erased is forgotten.
func TestDeploymentOfOperators(t *testing.T) {
	for name, peers := range map[string]string{"peers": peersInsecure, "topic": peersOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mended := &atomic.Bool{}
			d := deploy(t, 2, peers, func(s *grpc.Server) { pb.RegisterBusinessLogicServer(s, brittleLogic{mended: mended}) })
			one, two := d.sidecar[0], d.sidecar[1]
			root := log.Root(uuid.New())
			value, err := proto.Marshal(d.command(root, "one"))
			if err != nil {
				t.Fatal(err)
			}
			if err := d.client.ProduceSync(t.Context(), &kgo.Record{Topic: log.CommandsTopic(d.domain), Key: root[:], Value: value}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			d.hears(one, exitDone, root.String(), "dead-letters", "list", d.domain)
			if out := d.angzarr(two, exitFailed, "dead-letters", "replay", d.domain); !strings.Contains(out, "failed") || !strings.Contains(out, "it broke") {
				t.Errorf("replayed before it was mended:\n%s", out)
			}
			d.hears(one, exitDone, "INTERNAL                 2  ", "dead-letters", "list", d.domain)
			mended.Store(true)
			if out := d.angzarr(one, exitDone, "dead-letters", "replay", d.domain); !strings.Contains(out, "pages 1 to 1") {
				t.Errorf("replayed:\n%s", out)
			}
			if out := d.angzarr(two, exitDone, "dead-letters", "list", d.domain); out != "" {
				t.Errorf("left:\n%s", out)
			}

			erase := []string{"erase", d.domain, root.String()}
			d.angzarr(one, exitFailed, append(erase, "--verify")...)
			first := d.angzarr(one, exitDone, append(erase, "--reason", "forget")...)
			if second := d.angzarr(two, exitDone, erase...); !strings.Contains(first, "pages 1 to 1") || second != first {
				t.Errorf("erased:\n%s%s", first, second)
			}
			for _, s := range d.sidecar {
				if out := d.angzarr(s, exitFailed, "events", d.domain, root.String()); !strings.Contains(out, "ERASED") {
					t.Errorf("its events:\n%s", out)
				}
				if out := d.angzarr(s, exitDone, "roots", d.domain); out != "" {
					t.Errorf("there are still:\n%s", out)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				if _, err := s.door.Handle(ctx, d.command(root, "one")); status.Code(err) != codes.FailedPrecondition {
					t.Errorf("a command: %v", err)
				}
			}
			if out := d.angzarr(two, exitFailed, append(erase, "--verify")...); !strings.Contains(out, "gone by") || strings.Contains(out, "not erased") {
				t.Errorf("verified:\n%s", out)
			}
			d.end()
		})
	}
}
