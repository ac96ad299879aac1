package inventory

import (
	"github.com/google/uuid"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/examples/proto/order"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// compensate answers the news that a command which an event of this product led
// to was rejected: an order that refuses its reservation, because it was
// cancelled meanwhile, gives it back. All else nobody here can make good; a
// refusal makes it a dead letter, for people to look at.
func compensate(product *pb.Product, n *angzarr.RejectionNotification) (proto.Message, error) {
	if !rejected(n).MessageIs(&order.RecordReservation{}) {
		return nil, status.Errorf(codes.FailedPrecondition, "nothing makes good a rejected %q: %s",
			rejected(n).MessageName(), n.GetMessage())
	}
	id, err := uuid.FromBytes(n.GetCommand().GetCover().GetRoot().GetValue())
	if err != nil {
		return nil, invalid("command.cover.root", "%v", err)
	}
	return giveBack(product, id.String())
}

// rejected is the command that was rejected; the saga puts one in a
// book.
func rejected(n *angzarr.RejectionNotification) *anypb.Any {
	if pages := n.GetCommand().GetPages(); len(pages) > 0 {
		return pages[0].GetCommand()
	}
	return nil
}
