package inventory

import (
	"fmt"
	"math"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
)

// decide says which event a command leads to, or refuses it with a status that
// the caller gets as it is.
func decide(product *pb.Product, command proto.Message) (proto.Message, error) {
	switch c := command.(type) {
	case *pb.CreateProduct:
		return create(product, c)
	case *pb.AdjustStock:
		return adjust(product, c)
	case *pb.ReserveStock:
		return reserve(product, c)
	case *pb.ReleaseStock:
		return release(product, c)
	}
	return nil, invalid("command", "unknown type %s: want inventory.CreateProduct, AdjustStock, ReserveStock or ReleaseStock",
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
	return &pb.StockAdjusted{Delta: c.GetDelta(), Reason: c.GetReason()}, nil
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
		return nil, status.Errorf(codes.AlreadyExists, "order %q has reserved %d of %q already",
			c.GetOrderId(), has, product.GetSku())
	}
	if err := mustHave(product, int64(c.GetQuantity())); err != nil {
		return nil, err
	}
	return &pb.StockReserved{OrderId: c.GetOrderId(), Quantity: c.GetQuantity()}, nil
}

func release(product *pb.Product, c *pb.ReleaseStock) (proto.Message, error) {
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
	return &pb.StockReleased{OrderId: c.GetOrderId(), Quantity: quantity}, nil
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
