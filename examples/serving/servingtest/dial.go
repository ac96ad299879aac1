// Package servingtest tries the examples over the network, as a coordinator and
// as people with nothing but a client do.
package servingtest

import (
	"context"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/angzarr/angzarr-kafka/examples/serving"
)

// Dial starts a service on loopback, and checks at the test's end that it stops
// without an error.
func Dial(t *testing.T, register func(*grpc.Server)) *grpc.ClientConn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serving.Serve(ctx, listener, register) }()
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

// Described checks that a service says of itself what a client without protos
// needs: that it is healthy, that it is there, and what its messages are.
func Described(t *testing.T, conn *grpc.ClientConn, service string, messages ...string) {
	t.Helper()
	for _, name := range []string{"", service} {
		answer, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: name})
		if err != nil {
			t.Fatal(err)
		}
		if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("service %q is %v", name, answer.GetStatus())
		}
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
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
	for _, listed := range ask(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{},
	}).GetListServicesResponse().GetService() {
		services = append(services, listed.GetName())
	}
	if !slices.Contains(services, service) || !slices.Contains(services, "grpc.health.v1.Health") {
		t.Errorf("lists %v", services)
	}
	for _, name := range messages {
		files := ask(&grpc_reflection_v1.ServerReflectionRequest{
			MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
		}).GetFileDescriptorResponse().GetFileDescriptorProto()
		if len(files) == 0 || !defines(t, files[0], name) {
			t.Errorf("does not know %s", name)
		}
	}
	// Left open, the stream would hold the graceful stop until its grace is over.
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
}

// defines says whether a descriptor is of the file in which a message is.
func defines(t *testing.T, descriptor []byte, message string) bool {
	t.Helper()
	var file descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(descriptor, &file); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(file.GetMessageType(), func(m *descriptorpb.DescriptorProto) bool {
		return file.GetPackage()+"."+m.GetName() == message
	})
}
