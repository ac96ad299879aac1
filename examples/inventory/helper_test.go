package inventory

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// events and commands are messages, told apart for the reader's sake.
type (
	events   []proto.Message
	commands []proto.Message
)

// scenario tells a story about one product: given what has happened, when
// commands come in one book, then these events follow, or it is refused.
type scenario struct {
	name     string
	snapshot *pb.Product
	given    events
	when     commands
	then     events
	refused  codes.Code
	because  string // part of the refusal's message
}

func (s scenario) run(t *testing.T) {
	t.Helper()
	answer, err := Logic{}.Handle(context.Background(), contextual(t, s.snapshot, s.given, s.when))
	if got := status.Code(err); got != s.refused {
		t.Fatalf("answered %v (%v), want %v", got, err, s.refused)
	}
	if s.refused != codes.OK {
		if got := status.Convert(err).Message(); s.because == "" || !strings.Contains(got, s.because) {
			t.Errorf("refused because %q, want it to say %q", got, s.because)
		}
		return
	}
	if got, want := text(t, unpack(t, answer)), text(t, s.then); got != want {
		t.Errorf("led to\n%s\nwant\n%s", got, want)
	}
}

// contextual is what a coordinator sends: the product's open book, numbered,
// and the commands.
func contextual(t *testing.T, snapshot *pb.Product, given events, when commands) *angzarr.ContextualCommand {
	t.Helper()
	book, sequence := &angzarr.EventBook{Cover: cover()}, uint32(0)
	if snapshot != nil {
		sequence = 40
		book.Snapshot = &angzarr.Snapshot{Sequence: sequence, State: pack(t, snapshot)}
	}
	for _, event := range given {
		sequence++
		book.Pages = append(book.Pages, &angzarr.EventPage{
			Sequence: &angzarr.EventPage_Num{Num: sequence},
			Event:    pack(t, event),
		})
	}
	asked := &angzarr.CommandBook{Cover: cover()}
	for _, command := range when {
		asked.Pages = append(asked.Pages, &angzarr.CommandPage{Command: pack(t, command)})
	}
	return &angzarr.ContextualCommand{Events: book, Command: asked}
}

func cover() *angzarr.Cover {
	return &angzarr.Cover{Domain: "inventory", Root: &angzarr.UUID{Value: []byte("0123456789abcdef")}}
}

func pack(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func unpack(t *testing.T, book *angzarr.EventBook) events {
	t.Helper()
	var unpacked events
	for _, page := range book.GetPages() {
		event, err := page.GetEvent().UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		unpacked = append(unpacked, event)
	}
	return unpacked
}

// text is a message a line, as it is compared and shown.
func text(t *testing.T, messages events) string {
	t.Helper()
	var lines []string
	for _, message := range messages {
		line, err := prototext.MarshalOptions{}.Marshal(pack(t, message))
		if err != nil {
			t.Fatal(err)
		}
		// prototext varies its spaces on purpose, lest anyone rely on them.
		lines = append(lines, strings.Join(strings.Fields(string(line)), " "))
	}
	return strings.Join(lines, "\n")
}
