package inventory

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/examples/serving/servingtest"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

func TestHandleOverTheWire(t *testing.T) {
	logic := angzarr.NewBusinessLogicClient(servingtest.Dial(t, Register))

	answer, err := logic.Handle(t.Context(), contextual(t, nil, nil, commands{&pb.CreateProduct{Sku: "WIDGET"}}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(t, unpack(t, answer)), text(t, events{&pb.ProductCreated{Sku: "WIDGET"}}); got != want {
		t.Errorf("led to %s, want %s", got, want)
	}

	_, err = logic.Handle(t.Context(), contextual(t, nil, events{tenWidgets}, commands{&pb.AdjustStock{}}))
	refusal := status.Convert(err)
	if refusal.Code() != codes.InvalidArgument || len(refusal.Details()) != 1 {
		t.Errorf("answered %v with the details %v, want INVALID_ARGUMENT with one", err, refusal.Details())
	}
}

// A client that has no protos finds the service, and the domain's types by
// their names.
func TestTheServiceDescribesItself(t *testing.T) {
	servingtest.Described(t, servingtest.Dial(t, Register), "angzarr.BusinessLogic",
		"inventory.CreateProduct", "inventory.ReservationReleased", "inventory.Product")
}
