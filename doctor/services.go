package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
)

// examineService asks whether a service is there, and whether it is the right one.
func examineService(ctx context.Context, s Service) Finding {
	about := s.Title + " at " + s.Address
	conn, err := grpc.NewClient(s.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return Finding{Wrong, about, err.Error(), "set its address: host:port"}
	}
	defer conn.Close()
	begun := time.Now()
	if err := reach(ctx, conn); err != nil {
		return Finding{Wrong, about, fmt.Sprintf("does not answer: %v", err), "start it, or set its address: what is for it waits meanwhile"}
	}
	took := time.Since(begun)
	services, err := reflected(ctx, conn)
	return judgeService(s, services, took, err)
}

func judgeService(s Service, services []string, took time.Duration, err error) Finding {
	about := s.Title + " at " + s.Address
	switch {
	case status.Code(err) == codes.Unimplemented:
		return Finding{Advice, about, "answers, and has no gRPC reflection: its payloads are shown as bytes", "add server reflection to it, or give --descriptor-set to who asks"}
	case err != nil:
		return Finding{Advice, about, fmt.Sprintf("answers, and can't tell what it serves: %v", err), "see its log"}
	case !slices.Contains(services, s.Serves):
		return Finding{Wrong, about, fmt.Sprintf("serves %s, and not %s", strings.Join(services, ", "), s.Serves), "set the address to the right service's, or register " + s.Serves + " there"}
	}
	return Finding{Fine, about, fmt.Sprintf("answers within %v, and serves %s", took.Round(100*time.Microsecond), s.Serves), ""}
}

// reach returns once the connection stands, or says why it doesn't.
func reach(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn.Connect()
	for state := conn.GetState(); state != connectivity.Ready; state = conn.GetState() {
		if state == connectivity.TransientFailure {
			return why(ctx, conn)
		}
		if !conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("no connection within %v", patience)
		}
	}
	return nil
}

// why has a call tell the reason, which gRPC gives to calls only.
func why(ctx context.Context, conn *grpc.ClientConn) error {
	err := conn.Invoke(ctx, "/angzarr.Nobody/Asks", &reflectionpb.ServerReflectionRequest{}, &reflectionpb.ServerReflectionResponse{})
	text := status.Convert(err).Message()
	return errors.New(strings.TrimPrefix(text, "connection error: desc = "))
}

// reflected lists what the server says that it serves, in the version of
// reflection that it speaks.
func reflected(ctx context.Context, conn *grpc.ClientConn) (services []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, version := range []string{"v1", "v1alpha"} { // whose messages are the same
		services, err = listed(ctx, conn, "/grpc.reflection."+version+".ServerReflection/ServerReflectionInfo")
		if status.Code(err) != codes.Unimplemented {
			break
		}
	}
	return services, err
}

func listed(ctx context.Context, conn *grpc.ClientConn, method string) (services []string, err error) {
	raw, err := conn.NewStream(ctx, &reflectionpb.ServerReflection_ServiceDesc.Streams[0], method)
	if err != nil {
		return nil, err
	}
	stream := &grpc.GenericClientStream[reflectionpb.ServerReflectionRequest, reflectionpb.ServerReflectionResponse]{ClientStream: raw}
	// A send that fails says io.EOF; the reason comes with the receipt.
	_ = stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
	answer, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	for _, s := range answer.GetListServicesResponse().GetService() {
		services = append(services, s.GetName())
	}
	return services, nil
}
