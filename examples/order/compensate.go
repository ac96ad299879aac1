package order

import (
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	pb "github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// compensate answers the news that a command which an event of this order led to
// was rejected: without one of its lines an order is rejected as a whole, and
// names the lines that are reserved, for the saga to release. All else nobody
// here can make good; a refusal makes it a dead letter, for people to look at.
func compensate(o *order, n *angzarr.RejectionNotification) ([]proto.Message, error) {
	if !command(n).MessageIs(&inventory.ReserveStock{}) {
		return nil, status.Errorf(codes.FailedPrecondition, "nothing makes good a rejected %q: %s",
			command(n).MessageName(), n.GetMessage())
	}
	product, err := uuid.FromBytes(n.GetCommand().GetCover().GetRoot().GetValue())
	if err != nil {
		return nil, invalid("command.cover.root", "%v", err)
	}
	l := o.line(product.String())
	if l == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "the order has no line of product %s", product)
	}
	if o.state != placed || l.reserved {
		// The order is rejected or cancelled without it; or the line has what it
		// needs, and this was the same command once more.
		return nil, nil
	}
	return []proto.Message{&pb.OrderRejected{Reason: n.GetMessage(), ProductId: l.product, Reserved: o.reserved()}}, nil
}

// command is the one that was rejected; the saga puts one in a book.
func command(n *angzarr.RejectionNotification) *anypb.Any {
	if pages := n.GetCommand().GetPages(); len(pages) > 0 {
		return pages[0].GetCommand()
	}
	return nil
}
