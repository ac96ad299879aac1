package inventory

import (
	"fmt"
	"math"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// decide says which event a command leads to, or refuses it with a status that
// the caller gets as it is. A command that has been done already leads to none.
func decide(product *pb.Product, command proto.Message) (proto.Message, error) {
	switch c := command.(type) {
	case *pb.CreateProduct:
		return create(product, c)
	case *pb.AdjustStock:
		return adjust(product, c)
	case *pb.ReserveStock:
		return reserve(product, c)
	case *pb.CommitReservation:
		return commit(product, c)
	case *pb.ReleaseReservation:
		return release(product, c)
	case *angzarr.RejectionNotification:
		return compensate(product, c)
	}
	return nil, invalid("command", "unknown type %s: want inventory.CreateProduct, AdjustStock, ReserveStock, CommitReservation or ReleaseReservation",
		proto.MessageName(command))
}

func create(product *pb.Product, c *pb.CreateProduct) (proto.Message, error) {
	if c.GetSku() == "" {
		return nil, invalid("sku", "must not be empty")
	}
	if exists(product) {
		return nil, status.Errorf(codes.AlreadyExists, "product %q is there already", product.GetSku())
	}
	return &pb.ProductCreated{Sku: c.GetSku(), Name: c.GetName(), Quantity: c.GetQuantity()}, nil
}

func adjust(product *pb.Product, c *pb.AdjustStock) (proto.Message, error) {
	if c.GetDelta() == 0 {
		return nil, invalid("delta", "must not be zero")
	}
	if err := mustExist(product); err != nil {
		return nil, err
	}
	if c.GetDelta() < 0 {
		if err := mustHave(product, -int64(c.GetDelta())); err != nil {
			return nil, err
		}
	}
	if int64(product.GetOnHand())+int64(c.GetDelta()) > math.MaxUint32 {
		return nil, status.Errorf(codes.OutOfRange, "%d more of %q are too many: %d on hand, at most %d can be",
			c.GetDelta(), product.GetSku(), product.GetOnHand(), uint32(math.MaxUint32))
	}
	return &pb.StockAdjusted{Delta: c.GetDelta(), Reason: c.GetReason(), Stock: after(product, int64(c.GetDelta()), 0)}, nil
}

func reserve(product *pb.Product, c *pb.ReserveStock) (proto.Message, error) {
	if c.GetOrderId() == "" {
		return nil, invalid("order_id", "must not be empty")
	}
	if c.GetQuantity() == 0 {
		return nil, invalid("quantity", "must not be zero")
	}
	if err := mustExist(product); err != nil {
		return nil, err
	}
	if has, ok := product.GetReservations()[c.GetOrderId()]; ok {
		if has == c.GetQuantity() {
			return nil, nil
		}
		return nil, status.Errorf(codes.AlreadyExists, "order %q has reserved %d of %q already",
			c.GetOrderId(), has, product.GetSku())
	}
	if err := mustHave(product, int64(c.GetQuantity())); err != nil {
		return nil, err
	}
	return &pb.StockReserved{OrderId: c.GetOrderId(), Quantity: c.GetQuantity(), Stock: after(product, 0, int64(c.GetQuantity()))}, nil
}

func commit(product *pb.Product, c *pb.CommitReservation) (proto.Message, error) {
	if c.GetOrderId() == "" {
		return nil, invalid("order_id", "must not be empty")
	}
	if err := mustExist(product); err != nil {
		return nil, err
	}
	quantity, ok := product.GetReservations()[c.GetOrderId()]
	if !ok {
		return nil, status.Errorf(codes.FailedPrecondition, "order %q has reserved nothing of %q",
			c.GetOrderId(), product.GetSku())
	}
	return &pb.ReservationCommitted{OrderId: c.GetOrderId(), Quantity: quantity,
		Stock: after(product, -int64(quantity), -int64(quantity))}, nil
}

func release(product *pb.Product, c *pb.ReleaseReservation) (proto.Message, error) {
	if c.GetOrderId() == "" {
		return nil, invalid("order_id", "must not be empty")
	}
	if err := mustExist(product); err != nil {
		return nil, err
	}
	return giveBack(product, c.GetOrderId())
}

// giveBack releases all that an order has; that it has nothing is no reason to
// refuse, since it is what was asked for.
func giveBack(product *pb.Product, order string) (proto.Message, error) {
	quantity, ok := product.GetReservations()[order]
	if !ok {
		return nil, nil
	}
	return &pb.ReservationReleased{OrderId: order, Quantity: quantity, Stock: after(product, 0, -int64(quantity))}, nil
}

// after is what an event leaves that changes the stock by so much.
func after(product *pb.Product, onHand, reserves int64) *pb.Stock {
	return &pb.Stock{
		Sku:      product.GetSku(),
		OnHand:   uint32(int64(product.GetOnHand()) + onHand),
		Reserved: uint32(reserved(product) + reserves),
	}
}

// exists holds from a product's first event on: none is created without a sku.
func exists(product *pb.Product) bool { return product.GetSku() != "" }

func mustExist(product *pb.Product) error {
	if exists(product) {
		return nil
	}
	return status.Error(codes.NotFound, "no such product: create it first")
}

func mustHave(product *pb.Product, asked int64) error {
	onHand, reserved := int64(product.GetOnHand()), reserved(product)
	if asked <= onHand-reserved {
		return nil
	}
	return status.Errorf(codes.FailedPrecondition, "stock of %q is short: %d available (%d on hand, %d reserved), %d asked for",
		product.GetSku(), onHand-reserved, onHand, reserved, asked)
}

// invalid refuses a command that no state could accept, and names the field.
func invalid(field, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	refusal := status.Newf(codes.InvalidArgument, "%s: %s", field, why)
	detailed, err := refusal.WithDetails(&errdetails.BadRequest{
		FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: why}},
	})
	if err != nil {
		return refusal.Err()
	}
	return detailed.Err()
}
