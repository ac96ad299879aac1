// Package inventorysummary is a projector as people write it for Angzarr: of each
// product it publishes how much there is, and how much of that can be had.
//
//	pages of one product ──► the last one that says ──► Projection
//	                         what it has left           ProductSummary
//
// Invariants:
//   - It keeps nothing: every event of the inventory carries what it has left, so
//     a page leads to the same summary whenever it comes, and however often.
//   - What it can't be sure of it doesn't publish.
package inventorysummary

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventorysummary"
	"github.com/angzarr/angzarr-kafka/examples/serving"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// Name is what the projector is called in configurations.
const Name = "inventory-summary"

// Projector makes summaries of products. Its zero value is ready.
type Projector struct {
	angzarr.UnimplementedProjectorServer
}

// HandleSync answers with the summary that the book's pages lead to, or with an
// empty projection if they are of types that it doesn't know. Handle is not
// implemented: all that this projector does is in the answer.
func (Projector) HandleSync(_ context.Context, book *angzarr.EventBook) (*angzarr.Projection, error) {
	projection := &angzarr.Projection{}
	for _, page := range book.GetPages() {
		summary, err := summarize(page.GetEvent())
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "page %d: %q: %v", page.GetNum(), page.GetEvent().GetTypeUrl(), err)
		}
		if summary == nil {
			continue
		}
		state, err := anypb.New(summary)
		if err != nil {
			return nil, fmt.Errorf("pack %T: %w", summary, err)
		}
		projection = &angzarr.Projection{Cover: book.GetCover(), Projector: Name, Sequence: page.GetNum(), Projection: state}
	}
	return projection, nil
}

// summarize says what an event has left of a product: nothing, if it is no event
// of the inventory.
func summarize(packed *anypb.Any) (*pb.ProductSummary, error) {
	event, err := packed.UnmarshalNew()
	if errors.Is(err, protoregistry.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	stock, ours := left(event)
	switch {
	case !ours:
		return nil, nil
	case stock.GetSku() == "":
		return nil, errors.New("stock.sku: must not be empty: who recorded this must say what it left")
	case stock.GetReserved() > stock.GetOnHand():
		return nil, fmt.Errorf("stock: %d reserved of %d on hand", stock.GetReserved(), stock.GetOnHand())
	}
	return &pb.ProductSummary{
		Sku: stock.GetSku(), OnHand: stock.GetOnHand(), Reserved: stock.GetReserved(),
		Available: stock.GetOnHand() - stock.GetReserved(),
	}, nil
}

// left is the stock that an event of the inventory says it has left.
func left(event proto.Message) (stock *inventory.Stock, ours bool) {
	switch e := event.(type) {
	case *inventory.ProductCreated:
		return &inventory.Stock{Sku: e.GetSku(), OnHand: e.GetQuantity()}, true
	case *inventory.StockAdjusted:
		return e.GetStock(), true
	case *inventory.StockReserved:
		return e.GetStock(), true
	case *inventory.ReservationCommitted:
		return e.GetStock(), true
	case *inventory.ReservationReleased:
		return e.GetStock(), true
	}
	return nil, false
}

// Register puts the projector on a server, with health and reflection.
func Register(server *grpc.Server) {
	angzarr.RegisterProjectorServer(server, Projector{})
	serving.Describe(server)
}
