// Package inventory is business logic as people write it for Angzarr: it needs
// the contract's generated code and that of its own protos, nothing else.
//
//	ContextualCommand ──► fold ──► decide, apply, for each command ──► EventBook
//	                     history   state + command → event              new pages
//
// Invariants:
//   - fold and decide depend on their arguments alone: the same book and the
//     same command always lead to the same events.
//   - The service keeps nothing between calls; its state is the book it is given.
//   - The commands of one book are one unit: all are accepted, or none.
//   - On hand never falls below what is reserved.
//   - The same reservation, release or rejection again changes nothing.
//   - An event says what it has left: nobody needs the ones before it for that.
package inventory

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// snapshotEvery is the length in pages at which an open book gets a snapshot,
// so that no call has to carry and fold much more than that.
const snapshotEvery = 100

// Logic decides what the commands of the inventory domain lead to. Its zero
// value is ready.
type Logic struct {
	angzarr.UnimplementedBusinessLogicServer
}

// Handle answers with the events that the commands lead to, in order, or
// refuses them all with a status that says why. The pages carry neither number
// nor time: the coordinator gives them both.
func (Logic) Handle(_ context.Context, in *angzarr.ContextualCommand) (*angzarr.EventBook, error) {
	product, err := fold(in.GetEvents())
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
		event, err := decide(product, command)
		if err != nil {
			return nil, err
		}
		if event == nil {
			continue
		}
		// The next command of the unit sees what this one led to.
		if err := apply(product, event); err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		packed, err := anypb.New(event)
		if err != nil {
			return nil, fmt.Errorf("pack %T: %w", event, err)
		}
		book.Pages = append(book.Pages, &angzarr.EventPage{Event: packed})
	}
	if len(in.GetEvents().GetPages())+len(book.Pages) >= snapshotEvery {
		state, err := anypb.New(product)
		if err != nil {
			return nil, fmt.Errorf("pack %T: %w", product, err)
		}
		book.Snapshot = &angzarr.Snapshot{State: state}
	}
	return book, nil
}
