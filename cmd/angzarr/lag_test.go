package main

import (
	"context"
	"encoding/json"
	"strings"
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

// absentLogic answers nothing until it is told to.
type absentLogic struct {
	echoLogic
	back chan struct{}
}

func (l absentLogic) Handle(ctx context.Context, c *pb.ContextualCommand) (*pb.EventBook, error) {
	select {
	case <-l.back:
		return l.echoLogic.Handle(ctx, c)
	default:
		return nil, status.Error(codes.Unavailable, "not now")
	}
}

// ask runs a command of this program, and wants it to succeed.
func (d *deployment) ask(args ...string) string {
	d.Helper()
	var out, errs strings.Builder
	args = append(args, "--brokers", strings.Join(d.broker.Cluster.Brokers, ","))
	if code := run(d.Context(), args, nil, &out, &errs); code != exitDone {
		d.Fatalf("angzarr %s: exit status %d: %s", strings.Join(args, " "), code, errs.String())
	}
	return out.String()
}

// lagOf is what the command says of the domain's group.
func (d *deployment) lagOf() (found lag) {
	d.Helper()
	lines := json.NewDecoder(strings.NewReader(d.ask("lag", "-o", "json")))
	for lines.More() {
		var l lag
		if err := lines.Decode(&l); err != nil {
			d.Fatal(err)
		}
		if l.Group == log.Group(d.domain) {
			found = l
		}
	}
	return found
}

func TestDeploymentThatIsBehind(t *testing.T) {
	logic := absentLogic{back: make(chan struct{})}
	d := deploy(t, 1, peersInsecure, func(s *grpc.Server) { pb.RegisterBusinessLogicServer(s, logic) })
	d.owns(d.sidecar[0])
	eventually(t, "nobody owns a partition", func() bool { l := d.lagOf(); return l.Owners == 1 && l.Unowned == 0 })
	if l := d.lagOf(); l.Waiting != 0 || l.Since != nil {
		t.Errorf("before there was a command: %+v", l)
	}

	const commands = 20
	begun := time.Now().Add(-time.Second)
	for range commands {
		root := log.Root(uuid.New())
		value, err := proto.Marshal(d.command(root, uuid.NewString()))
		if err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Topic: log.CommandsTopic(d.domain), Key: root[:], Value: value}
		if err := d.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	l := d.lagOf()
	if l.Waiting != commands || l.Since == nil || l.Since.Before(begun) || l.Since.After(time.Now().Add(time.Second)) {
		t.Errorf("%d commands wait: %+v", commands, l)
	}
	text := d.ask("lag", "--partitions")
	if !strings.Contains(text, log.CommandsTopic(d.domain)) || !strings.Contains(text, "OLDEST") {
		t.Errorf("as text:\n%s", text)
	}
	if text := d.ask("owners"); !strings.Contains(text, log.Group(d.domain)) || !strings.Contains(text, d.sidecar[0].peer) || !strings.Contains(text, "0-5") {
		t.Errorf("owners:\n%s", text)
	}

	close(logic.back)
	eventually(t, "commands still wait", func() bool { l := d.lagOf(); return l.Waiting == 0 && l.Since == nil })
	d.end()
	if l := d.lagOf(); l.Owners != 0 || l.Unowned != 6 {
		t.Errorf("after the end: %+v", l)
	}
	if text := d.ask("owners"); !strings.Contains(text, "nobody") {
		t.Errorf("owners after the end:\n%s", text)
	}
}

func TestRanges(t *testing.T) {
	for want, numbers := range map[string][]int32{
		"": nil, "0": {0}, "0-2": {0, 1, 2}, "0, 2-3, 7": {0, 2, 3, 7},
	} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v: %q, want %q", numbers, got, want)
		}
	}
}

// eventually waits until it holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	patience := time.After(30 * time.Second)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-patience:
			t.Fatalf("still after 30 s: %s", what)
		}
	}
}
