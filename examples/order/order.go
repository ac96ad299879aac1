// Package order is business logic that works with another domain's, through a
// saga: an order is confirmed when the inventory has reserved all of its lines,
// and rejected when it can't.
//
//	ContextualCommand ──► fold ──► decide, apply, for each command ──► EventBook
//	                     history   state + command → events             new pages
//
// Invariants:
//   - fold and decide depend on their arguments alone.
//   - An order is shipped, cancelled or rejected, once, and then takes no
//     reservation any more.
//   - Every reservation is committed or released once: the event that ends an
//     order names those that it knew of, and what comes later is refused, which
//     sends it back to the product.
//   - What a saga sends may come again: it does no more than the first time.
package order

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/examples/serving"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// Logic decides what the commands of the order domain lead to. Its zero value is
// ready.
type Logic struct {
	angzarr.UnimplementedBusinessLogicServer
}

// Handle answers with the events that the commands lead to, in order, or
// refuses them all with a status that says why. It makes no snapshots: an
// order's history is short.
func (Logic) Handle(_ context.Context, in *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	o, err := fold(in.GetEvents())
	if err != nil {
		// Not a refusal: a decision on half-understood history would be wrong.
		return nil, status.Error(codes.Internal, err.Error())
	}
	book := &angzarr.EventBook{Cover: in.GetCommand().GetCover()}
	for _, page := range in.GetCommand().GetPages() {
		command, err := page.GetCommand().UnmarshalNew()
		if err != nil {
			return nil, invalid("command", "cannot read %q: %v", page.GetCommand().GetTypeUrl(), err)
		}
		events, err := decide(o, command)
		if err != nil {
			return nil, err
		}
		for _, event := range events {
			// The next command of the unit sees what this one led to.
			if err := o.apply(event); err != nil {
				return nil, status.Error(codes.Internal, err.Error())
			}
			packed, err := anypb.New(event)
			if err != nil {
				return nil, fmt.Errorf("pack %T: %w", event, err)
			}
			book.Pages = append(book.Pages, &angzarr.EventPage{Event: packed})
		}
	}
	return book, nil
}

// Register puts the business logic on a server, with health and reflection.
func Register(server *grpc.Server) {
	angzarr.RegisterBusinessLogicServer(server, Logic{})
	serving.Describe(server)
}
