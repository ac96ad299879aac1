package order

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// events and commands are messages, told apart for the reader's sake.
type (
	events   []proto.Message
	commands []proto.Message
)

// scenario tells a story about one order: given what has happened, when commands
// come in one book, then these events follow, or it is refused.
type scenario struct {
	name    string
	given   events
	when    commands
	then    events
	refused codes.Code
	because string // part of the refusal's message
}

func (s scenario) run(t *testing.T) {
	t.Helper()
	answer, err := Logic{}.Handle(context.Background(), contextual(t, s.given, s.when))
	if got := status.Code(err); got != s.refused {
		t.Fatalf("answered %v (%v), want %v", got, err, s.refused)
	}
	if s.refused != codes.OK {
		if got := status.Convert(err).Message(); s.because == "" || !strings.Contains(got, s.because) {
			t.Errorf("refused because %q, want it to say %q", got, s.because)
		}
		return
	}
	if !proto.Equal(answer.GetCover(), cover()) {
		t.Errorf("cover %v, want %v", answer.GetCover(), cover())
	}
	if got, want := text(t, answer), text(t, book(t, s.then)); got != want {
		t.Errorf("led to\n%s\nwant\n%s", got, want)
	}
}

// contextual is what a coordinator sends: the order's book and the commands.
func contextual(t *testing.T, given events, when commands) *angzarr.ContextualCommand {
	t.Helper()
	asked := &angzarr.CommandBook{Cover: cover()}
	for _, command := range when {
		asked.Pages = append(asked.Pages, &angzarr.CommandPage{Command: pack(t, command)})
	}
	return &angzarr.ContextualCommand{Events: book(t, given), Command: asked}
}

func book(t *testing.T, given events) *angzarr.EventBook {
	t.Helper()
	book := &angzarr.EventBook{Cover: cover()}
	for i, event := range given {
		book.Pages = append(book.Pages, &angzarr.EventPage{
			Sequence: &angzarr.EventPage_Num{Num: uint32(i) + 1},
			Event:    pack(t, event),
		})
	}
	return book
}

func cover() *angzarr.Cover {
	return &angzarr.Cover{Domain: "order", Root: &angzarr.UUID{Value: []byte("0123456789abcdef")}}
}

func pack(t *testing.T, message proto.Message) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(message)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

// text is an event a line, as it is compared and shown.
func text(t *testing.T, book *angzarr.EventBook) string {
	t.Helper()
	var lines []string
	for _, page := range book.GetPages() {
		line, err := prototext.MarshalOptions{}.Marshal(page.GetEvent())
		if err != nil {
			t.Fatal(err)
		}
		// prototext varies its spaces on purpose, lest anyone rely on them.
		lines = append(lines, strings.Join(strings.Fields(string(line)), " "))
	}
	return strings.Join(lines, "\n")
}
