package frontdoor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angzarr/angzarr-kafka/coordinators/business"
	"github.com/angzarr/angzarr-kafka/log"
	"github.com/angzarr/angzarr-kafka/log/logtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// Whichever way a command goes, its caller can't tell.
func TestAllWaysAreOne(t *testing.T) {
	t.Parallel()
	traced := make(chan string, 100)
	w := newWorld(t, func(ctx context.Context, c *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
		in, _ := metadata.FromIncomingContext(ctx)
		traced <- strings.Join(in.Get(log.HeaderTraceparent), " ")
		if c.Command.Pages[0].Command.TypeUrl == "x/large" {
			return large(), nil
		}
		return echo(ctx, c)
	})
	owner := w.process("127.0.0.1:0", insecure.NewCredentials())
	here := w.door(nil)
	here.c.Workers = map[string]*business.Worker{w.domain.Name: owner.worker}
	w.owns(owner.worker)

	for way, door := range map[string]*Door{"owner here": here, "peer": w.door(strangers()), "topic": w.door(nil)} {
		t.Run(way, func(t *testing.T) {
			root := uuid.New()
			ctx := metadata.NewIncomingContext(w.within(20*time.Second), metadata.Pairs(log.HeaderTraceparent, traceparent))
			first, err := door.Handle(ctx, w.command(root, "one", "a"))
			if err != nil {
				t.Fatal(err)
			}
			if got := <-traced; got != traceparent {
				t.Errorf("business logic got the trace context %q", got)
			}
			if book := first.Books[0]; said(first) != "1:a " || book.CommandId != "one" || book.CorrelationId != "one" {
				t.Errorf("answered %v", first)
			}
			again, err := door.Handle(ctx, w.command(root, "one", "b"))
			if err != nil || !proto.Equal(first, again) {
				t.Errorf("the same id again: %v, %v; want %v", again, err, first)
			}

			_, err = door.Handle(ctx, w.command(root, "", "no"))
			if st := wantCode(t, err, codes.FailedPrecondition); st.Message() != "logic says no" {
				t.Errorf("a refusal reads %q", st.Message())
			}
			late := w.command(root, "late", "c")
			late.Pages[0].Sequence = 7
			_, err = door.Handle(ctx, late)
			if st := wantCode(t, err, codes.Aborted); !hasReason(st, business.ReasonSequenceMismatch) || len(st.Details()) != 2 {
				t.Errorf("a mismatch has the details %v", st.Details())
			}

			recorded, err := door.Record(ctx, &angzarr.EventBook{Cover: late.Cover, Pages: []*angzarr.EventPage{{Event: payload("r")}}})
			if err != nil || said(recorded) != "2:r " || recorded.Books[0].CommandId == "" {
				t.Errorf("recorded %v, %v", recorded, err)
			}
			tooMuch := w.command(uuid.New(), "", strings.Repeat("x", door.c.MaxCommand))
			_, err = door.Handle(ctx, tooMuch)
			if st := wantCode(t, err, codes.ResourceExhausted); !strings.Contains(st.Message(), "max.message.bytes") {
				t.Errorf("over the limit: %s", st.Message())
			}
			if got, want := w.pages(root), "1:a 2:r "; got != want {
				t.Errorf("the log holds %s, want %s", got, want)
			}
			for _, k := range logtest.ReadCommitted(t, w.broker.Cluster, log.EventsTopic(w.domain.Name)) {
				r := log.FromClient(k)
				if of, _, _ := log.ParseKey(r.Key); of == log.Root(root) && string(r.Header(log.HeaderTraceparent)) != traceparent {
					t.Errorf("a page has the trace context %q", r.Header(log.HeaderTraceparent))
				}
			}

			// More than gRPC takes by default, and more than a reply may have.
			wide := w.command(uuid.New(), "wide", "")
			wide.Pages[0].Command.TypeUrl = "x/large"
			book, err := door.Handle(ctx, wide)
			if err != nil || len(book.Books[0].Pages) != 10 || proto.Size(book) < 5<<20 {
				t.Errorf("a large answer: %d bytes, %v", proto.Size(book), err)
			}
			if p := book.GetBooks(); err == nil && (p[0].CommandId != "wide" || p[0].Pages[9].GetNum() != 10) {
				t.Errorf("a large answer is to %q and ends with page %d", p[0].CommandId, p[0].Pages[9].GetNum())
			}
			if n := len(door.c.Topic.waiting.by); n > 0 {
				t.Errorf("%d are still waited for", n)
			}
		})
	}
}

// large is 5 MiB in ten pages.
func large() *angzarr.EventBook {
	book := &angzarr.EventBook{}
	for range 10 {
		book.Pages = append(book.Pages, &angzarr.EventPage{Event: payload(strings.Repeat("x", 1<<19))})
	}
	return book
}

// Many at once who use the same id, and two who use it for different roots.
func TestSameIDAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, echo)
	owner := w.process("127.0.0.1:0", insecure.NewCredentials())
	w.owns(owner.worker)
	for way, door := range map[string]*Door{"peer": w.door(strangers()), "topic": w.door(nil)} {
		t.Run(way, func(t *testing.T) {
			roots := [2]uuid.UUID{w.rootIn(0), w.rootIn(1)}
			ctx := w.within(20 * time.Second)
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() {
					says := fmt.Sprint("root", i%2)
					response, err := door.Handle(ctx, w.command(roots[i%2], "shared", says))
					if err != nil || said(response) != "1:"+says+" " {
						t.Errorf("caller %d got %v, %v", i, response, err)
					}
				})
			}
			all.Wait()
			for i, root := range roots {
				if got, want := w.pages(root), fmt.Sprintf("1:root%d ", i); got != want {
					t.Errorf("root %d has the pages %s, want %s", i, got, want)
				}
			}
			if n := len(door.c.Topic.waiting.by); n > 0 {
				t.Errorf("%d are still waited for", n)
			}
		})
	}
}

// Bad books are refused at the door, with the field's name, whichever way is set.
func TestBadBooks(t *testing.T) {
	t.Parallel()
	door := New(Config{})
	root := &angzarr.UUID{Value: make([]byte, 16)}
	pages := []*angzarr.CommandPage{{Command: payload("a")}}
	for name, tc := range map[string]struct {
		book  *angzarr.CommandBook
		field string
	}{
		"no cover":    {&angzarr.CommandBook{Pages: pages}, "cover"},
		"no domain":   {&angzarr.CommandBook{Cover: &angzarr.Cover{Root: root}, Pages: pages}, "cover.domain"},
		"no root":     {&angzarr.CommandBook{Cover: &angzarr.Cover{Domain: "x"}, Pages: pages}, "cover.root"},
		"short root":  {&angzarr.CommandBook{Cover: &angzarr.Cover{Domain: "x", Root: &angzarr.UUID{Value: make([]byte, 15)}}, Pages: pages}, "cover.root"},
		"no pages":    {&angzarr.CommandBook{Cover: &angzarr.Cover{Domain: "x", Root: root}}, "pages"},
		"no command":  {&angzarr.CommandBook{Cover: &angzarr.Cover{Domain: "x", Root: root}, Pages: []*angzarr.CommandPage{{}}}, "pages[0].command"},
		"nil command": {&angzarr.CommandBook{Cover: &angzarr.Cover{Domain: "x", Root: root}, Pages: []*angzarr.CommandPage{nil}}, "pages[0].command"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := door.Handle(t.Context(), tc.book)
			if st := wantCode(t, err, codes.InvalidArgument); !strings.HasPrefix(st.Message(), tc.field+":") {
				t.Errorf("%q does not name %s", st.Message(), tc.field)
			}
		})
	}
	_, err := door.Record(t.Context(), &angzarr.EventBook{Cover: &angzarr.Cover{Domain: "x", Root: root}})
	wantCode(t, err, codes.InvalidArgument)
}

// A trace context is passed on with every page: one of any size is not.
func TestTraceparentIsBounded(t *testing.T) {
	for header, want := range map[string]string{traceparent: traceparent, strings.Repeat("0", 5000): ""} {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(log.HeaderTraceparent, header))
		if got := traceparentOf(ctx); got != want {
			t.Errorf("took %q", got)
		}
	}
}
