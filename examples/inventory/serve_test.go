package inventory

import (
	"context"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	pb "github.com/angzarr/angzarr-kafka/examples/proto/inventory"
	"github.com/angzarr/angzarr-kafka/proto/angzarr"
)

// serving starts the service on loopback, and checks at the test's end that it
// stops without an error.
func serving(t *testing.T) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serving ended with %v", err)
		}
	})
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestHandleOverTheWire(t *testing.T) {
	logic := angzarr.NewBusinessLogicClient(serving(t))

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

func TestHealth(t *testing.T) {
	health := grpc_health_v1.NewHealthClient(serving(t))
	for _, service := range []string{"", "angzarr.BusinessLogic"} {
		answer, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("service %q is %v", service, answer.GetStatus())
		}
	}
}

// A client that has no protos finds the service, and the domain's types by
// their names.
func TestReflection(t *testing.T) {
	stream, err := grpc_reflection_v1.NewServerReflectionClient(serving(t)).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(request *grpc_reflection_v1.ServerReflectionRequest) *grpc_reflection_v1.ServerReflectionResponse {
		t.Helper()
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
		answer, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}

	var services []string
	for _, service := range ask(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}).GetListServicesResponse().GetService() {
		services = append(services, service.GetName())
	}
	if !slices.Contains(services, "angzarr.BusinessLogic") || !slices.Contains(services, "grpc.health.v1.Health") {
		t.Errorf("lists %v", services)
	}

	for _, name := range []string{"inventory.CreateProduct", "inventory.StockReleased", "inventory.Product"} {
		files := ask(&grpc_reflection_v1.ServerReflectionRequest{
			MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
		}).GetFileDescriptorResponse().GetFileDescriptorProto()
		if len(files) == 0 {
			t.Errorf("does not know %s", name)
			continue
		}
		var file descriptorpb.FileDescriptorProto
		if err := proto.Unmarshal(files[0], &file); err != nil {
			t.Fatal(err)
		}
		if file.GetPackage() != "inventory" {
			t.Errorf("%s is in the package %q", name, file.GetPackage())
		}
	}
	// Left open, the stream would hold the graceful stop until its grace is over.
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

func TestServeSaysWhyItCannot(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := Serve(t.Context(), listener); err == nil {
		t.Error("served on a closed listener")
	}
}
