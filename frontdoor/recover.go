package frontdoor

import (
	"context"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Recover keeps a panic in one call from ending the process: the call is
// answered with INTERNAL, the log gets the stack.
func Recover(logger *slog.Logger) []grpc.ServerOption {
	caught := func(method string, err *error) {
		if r := recover(); r != nil {
			logger.Error("a call panicked", "method", method, "panic", r, "stack", string(debug.Stack()))
			*err = status.Error(codes.Internal, "a bug in angzarr ended the call; what it was to do may have been done, and a repeat with the same command_id is safe")
		}
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
			defer caught(info.FullMethod, &err)
			return handler(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
			defer caught(info.FullMethod, &err)
			return handler(srv, stream)
		}),
	}
}
