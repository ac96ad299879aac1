// Package orderfulfillment is a saga as people write it for Angzarr: it has
// orders get their stock, and tells them when they have.
//
//	order                           saga                       inventory
//	OrderPlaced ──────────────────► for each line ───────────► ReserveStock
//	RecordReservation ◄──────────── ──────────────◄─────────── StockReserved
//	OrderShipped ─────────────────► for each line ───────────► CommitReservation
//	OrderCancelled, OrderRejected ► for each reserved line ──► ReleaseReservation
//
// Invariants:
//   - It keeps nothing, and asks nobody: what a command needs is in the event. The
//     order knows which of its lines are reserved, and says so when it ends.
//   - The same event always leads to the same commands, in the same order.
//   - It needs to know of no refusal: a refused command comes back to the
//     aggregate whose event led to it. A product that is short gets its order
//     rejected, and an order that doesn't want it any more gets the product its
//     pieces back.
package orderfulfillment

import (
	"cmp"
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/angzarr/angzarr-kafka/examples/serving"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// Saga turns the events of orders and products into commands for each other.
type Saga struct {
	angzarr.UnimplementedSagaServer
	// Orders and Inventory are the domains that get the commands: order and
	// inventory, where they are left out.
	Orders, Inventory string
}

// HandleSync answers with the commands that the book's events lead to. Events of
// types that it doesn't know lead to none. Handle is not implemented: this saga
// leaves the sending to its coordinator.
func (s Saga) HandleSync(_ context.Context, book *angzarr.EventBook) (*angzarr.SynchronousProcessingResponse, error) {
	root, err := rootOf(book)
	if err != nil {
		return nil, err
	}
	answer := &angzarr.SynchronousProcessingResponse{}
	for _, page := range book.GetPages() {
		event, err := page.GetEvent().UnmarshalNew()
		if errors.Is(err, protoregistry.NotFound) {
			continue
		}
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "page %d: %q: %v", page.GetNum(), page.GetEvent().GetTypeUrl(), err)
		}
		commands, err := s.react(root, page.GetNum(), event)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "page %d: %v", page.GetNum(), err)
		}
		answer.Commands = append(answer.Commands, commands...)
	}
	return answer, nil
}

func (s Saga) orders() string    { return cmp.Or(s.Orders, "order") }
func (s Saga) inventory() string { return cmp.Or(s.Inventory, "inventory") }

// Register puts the saga on a server, with health and reflection.
func Register(server *grpc.Server) {
	angzarr.RegisterSagaServer(server, Saga{})
	serving.Describe(server)
}
