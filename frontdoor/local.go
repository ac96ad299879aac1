package frontdoor

import (
	"context"
	"net"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// LocalOnly has services answer only callers on the same host: who may reach a
// front door from elsewhere is allowed to give commands, and no more.
func LocalOnly(services ...string) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			if err := checkLocal(ctx, info.FullMethod, services); err != nil {
				return nil, err
			}
			return handler(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
			if err := checkLocal(stream.Context(), info.FullMethod, services); err != nil {
				return err
			}
			return handler(srv, stream)
		}),
	}
}

// checkLocal refuses callers from other hosts. What is no TCP connection can't come
// from one.
func checkLocal(ctx context.Context, method string, services []string) error {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	if !slices.Contains(services, service) {
		return nil
	}
	from, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	address, ok := from.Addr.(*net.TCPAddr)
	if !ok || address.IP.IsLoopback() {
		return nil
	}
	return status.Errorf(codes.PermissionDenied,
		"%s is for operators: it answers callers on its own host only, and this one is at %s", service, address.IP)
}
